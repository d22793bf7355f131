import { Resolver } from "node:dns/promises";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { isAllowed } from "../../protocol/storage/image-hosts.js";
import type { FetchOrder } from "../../protocol/storage/operations.js";
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

const WITHOUT_SRV = "imageService as HOST:PORT needs none";

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
    if (best) return succeed(`${host}:${best.port}`);
    return fail("image.unreachable", `the image service has no SRV record: ${host}; ${WITHOUT_SRV}`);
  } catch (error) {
    return fail(
      "image.unreachable",
      `the SRV look-up of the image service failed: ${messageOf(error)}; ${WITHOUT_SRV}`,
    );
  }
}

/** Where an image is fetched from. */
export type ImageSource = Pick<FetchOrder, "url" | "hosts">;

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
