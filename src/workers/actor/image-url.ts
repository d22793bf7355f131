import { Resolver } from "node:dns/promises";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";

export interface ImageServiceOptions {
  /** `HOST` or `HOST:PORT`; without a port, the port comes from a DNS SRV look-up of HOST. */
  readonly imageService: string;
  /** Hosts (`HOST` or `HOST:PORT`) that a request's `source` may name. */
  readonly imageSources: readonly string[];
  /** Name servers to ask instead of the system's, `ADDRESS` or `ADDRESS:PORT`. */
  readonly dnsServers: readonly string[];
  readonly dnsTimeoutMs: number;
}

function hasPort(host: string): boolean {
  return (
    /:\d+$/.test(host) &&
    (host.startsWith("[") ? host.includes("]:") : host.indexOf(":") === host.lastIndexOf(":"))
  );
}

async function serviceAddress(options: ImageServiceOptions): Promise<Outcome<string>> {
  const host = options.imageService;
  if (hasPort(host)) return succeed(host);
  const resolver = new Resolver({ timeout: options.dnsTimeoutMs, tries: 2 });
  if (options.dnsServers.length > 0) resolver.setServers(options.dnsServers);
  try {
    const records = await resolver.resolveSrv(host);
    // RFC 2782: the lowest priority number is asked first, of those the heaviest.
    const [best] = records.sort((a, b) => a.priority - b.priority || b.weight - a.weight);
    if (best) return succeed(`${host}:${best.port}`);
    return fail("image.unreachable", `the image service has no SRV record: ${host}`);
  } catch (error) {
    return fail(
      "image.unreachable",
      `the SRV look-up of the image service failed: ${(error as Error).message}`,
    );
  }
}

/**
 * The URL of an image: `source` where the configuration allows its host, else
 * `http://IMAGE-SERVICE/images/ID/download`.
 * Fails: image.source_refused, image.unreachable (no SRV record).
 */
export async function imageUrl(
  options: ImageServiceOptions,
  id: string,
  source: string,
): Promise<Outcome<string>> {
  if (source === "") {
    const address = await serviceAddress(options);
    return address.ok
      ? succeed(`http://${address.value}/images/${encodeURIComponent(id)}/download`)
      : address;
  }
  if (!URL.canParse(source)) return fail("image.source_refused", "source is not a URL");
  const url = new URL(source);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return fail("image.source_refused", `source must be an http or https URL, not ${url.protocol}`);
  }
  if (options.imageSources.includes(url.host) || options.imageSources.includes(url.hostname)) {
    return succeed(url.href);
  }
  return fail("image.source_refused", `the configuration's imageSources does not allow ${url.host}`);
}
