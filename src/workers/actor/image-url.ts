import { Resolver } from "node:dns/promises";
import { codeOf, messageOf } from "../../protocol/storage/caught-error.js";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { isAllowed } from "../../protocol/storage/image-hosts.js";
import type { ImageSource } from "../../protocol/storage/operations.js";
import type { NodeSettings } from "../../protocol/storage/pool-settings.js";

/** The settings that say where images are fetched from. */
export type ImageServiceSettings = Pick<NodeSettings, "imageService" | "imageSources" | "dnsServers"> & {
  readonly timeouts: Pick<NodeSettings["timeouts"], "dnsMs">;
};

/** Also for IPv6: `[::1]:80` has a port, `::1` has none. */
function hasPort(host: string): boolean {
  return (
    /:\d+$/.test(host) &&
    (host.startsWith("[") ? host.includes("]:") : host.indexOf(":") === host.lastIndexOf(":"))
  );
}

/** What the codes of a failed look-up mean; of others the code itself is told. */
const DNS_FAILURES: Readonly<Record<string, string>> = {
  ENODATA: "it has no SRV record",
  ENOTFOUND: "the DNS server knows no such name",
  EREFUSED: "the DNS server refuses to answer",
  ESERVFAIL: "the DNS server failed",
  ETIMEOUT: "no DNS server answered in time",
  ECONNREFUSED: "no DNS server can be reached",
};

function noPort(host: string, why: string): FailedOutcome {
  return fail(
    "image.unreachable",
    `the port of the image service ${host} can't be looked up (DNS SRV): ${why}; imageService as HOST:PORT needs no look-up`,
  );
}

/** `HOST:PORT` of the image service, from the settings or from DNS. Fails: image.unreachable. */
async function serviceAddress(settings: ImageServiceSettings): Promise<Outcome<string>> {
  const host = settings.imageService;
  if (hasPort(host)) return succeed(host);
  const resolver = new Resolver({ timeout: settings.timeouts.dnsMs, tries: 2 });
  if (settings.dnsServers.length > 0) resolver.setServers(settings.dnsServers);
  try {
    const records = await resolver.resolveSrv(host);
    // RFC 2782: the lowest priority number comes first. Among equals we take the largest weight.
    const [best] = records.sort((a, b) => a.priority - b.priority || b.weight - a.weight);
    return best ? succeed(`${host}:${best.port}`) : noPort(host, "it has no SRV record");
  } catch (error) {
    return noPort(host, DNS_FAILURES[codeOf(error)] ?? messageOf(error));
  }
}

/**
 * The URL to fetch an image from: `source`, or `http://IMAGE-SERVICE/images/ID/download` if
 * `source` is empty.
 * Fails: image.source_refused for a host that `imageSources` lacks, image.unreachable without an
 * SRV record.
 */
export async function imageUrl(
  settings: ImageServiceSettings,
  id: string,
  source: string,
): Promise<Outcome<ImageSource>> {
  const { imageService, imageSources: sources } = settings;
  if (source === "") {
    const address = await serviceAddress(settings);
    if (!address.ok) return address;
    const url = `http://${address.value}/images/${encodeURIComponent(id)}/download`;
    return succeed({ url, hosts: { service: address.value, sources } });
  }
  if (!URL.canParse(source))
    return fail("image.source_refused", "source is not a URL; it must be one whose host imageSources allows");
  const url = new URL(source);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return fail("image.source_refused", `source must be an http or https URL, not ${url.protocol}`);
  }
  if (isAllowed({ service: undefined, sources }, url)) {
    const service = hasPort(imageService) ? imageService : undefined;
    return succeed({ url: url.href, hosts: { service, sources } });
  }
  return fail(
    "image.source_refused",
    `source: ${url.host} is not allowed, add it to imageSources of the configuration`,
  );
}
