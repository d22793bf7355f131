import { isIP } from "node:net";
import { hostOf, portOf } from "./url-place.js";

/** The hosts that images may come from, as the configuration names them: `HOST` or `HOST:PORT`. */
export interface ImageHosts {
  /** The image service; undefined if its port is not known without a look-up. */
  readonly service: string | undefined;
  /** `imageSources` of the configuration. */
  readonly sources: readonly string[];
}

/** Whether `entry` names the host of `url`. Without a port it names every port. */
function names(entry: string, url: URL): boolean {
  const wanted = entry.toLowerCase();
  return wanted === url.hostname || wanted === `${url.hostname}:${portOf(url)}`;
}

/** Whether images may be fetched from `url`: an http or https URL of one of these hosts. */
export function isAllowed({ service, sources }: ImageHosts, url: URL): boolean {
  if (url.protocol !== "http:" && url.protocol !== "https:") return false;
  return (service !== undefined && names(service, url)) || sources.some((source) => names(source, url));
}

/**
 * Whether the host of an allowed URL may have an address of this machine or of this link: only
 * where the configuration says so itself. The image service may, and so may an address or
 * `localhost` in `imageSources`. The name of a source may not, since others say what it resolves to.
 */
export function mayBeLocal({ service }: ImageHosts, url: URL): boolean {
  const isService = service !== undefined && names(service, url);
  return isService || isIP(hostOf(url)) !== 0 || url.hostname === "localhost";
}

/** A URL without what can be a secret: no user, no password, and `?…` for a query. */
export function shownUrl(text: string): string {
  if (!URL.canParse(text)) return "a URL that can't be read";
  const { protocol, host, pathname, search } = new URL(text);
  return `${protocol}//${host}${pathname}${search === "" ? "" : "?…"}`;
}
