import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { type ImageHosts, isAllowed, mayBeLocal, shownUrl } from "../../protocol/storage/image-hosts.js";
import { hostOf, portOf } from "../../protocol/storage/url-place.js";
import type { HostSlots } from "../../protocol/threads/host-slots.js";
import { type GetOptions, getReply, type Reply } from "./http-get.js";

/** Why the reply of an image service can't be had. The message is for the client, and has no secret. */
export class SourceFailure extends Error {
  override readonly name = "SourceFailure";

  /**
   * `refused`: the configuration does not allow to ask there.
   * `silent`: nothing came for the time limit.
   */
  constructor(
    readonly kind: "refused" | "silent" | "redirects",
    message: string,
  ) {
    super(message);
  }
}

export interface SourceOptions
  extends Pick<GetOptions, "connectMs" | "idleMs" | "signal" | "headers" | "secureContext"> {
  readonly hosts: ImageHosts;
  /** Headers that are no secret: they go along every redirect. */
  readonly openHeaders?: Readonly<Record<string, string>>;
  /** What limits the requests at one host. */
  readonly hostSlots?: HostSlots;
}

/** What https sources are trusted by: `ca`, beside what Node knows. Undefined: that alone. It takes some ms to make. */
export function sourceTrust(ca: readonly string[] | undefined): SecureContext | undefined {
  return ca && createSecureContext({ ca: [...rootCertificates, ...ca] });
}

const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Addresses of this machine, of its link, and of nobody. An IPv4 one written as IPv6 counts too. */
const localAddresses = new BlockList();
localAddresses.addSubnet("0.0.0.0", 8, "ipv4");
localAddresses.addSubnet("127.0.0.0", 8, "ipv4");
localAddresses.addSubnet("169.254.0.0", 16, "ipv4");
localAddresses.addAddress("::", "ipv6");
localAddresses.addAddress("::1", "ipv6");
localAddresses.addSubnet("fe80::", 10, "ipv6");

function isLocal(address: string): boolean {
  return localAddresses.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

function refuse(url: URL, why: string): SourceFailure {
  return new SourceFailure("refused", `${why}, url: ${shownUrl(url.href)}`);
}

/** Looks a name up as the connection is made, so that what was checked is what is connected to. */
function checkedLookup(url: URL): LookupFunction {
  return (hostname, options, done) =>
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const local = addresses?.find(({ address }) => isLocal(address));
      const [first] = addresses ?? [];
      if (error) done(error, "", 0);
      else if (local)
        done(refuse(url, `${hostname} is ${local.address}, which is no address of an image source`), "", 0);
      else if (options.all) done(null, addresses);
      else done(null, first?.address ?? "", first?.family);
    });
}

/** Whether headers for one place, which may be secrets, may go to another: the same host, not less protected. */
function mayKnow(url: URL, first: URL): boolean {
  return url.hostname === first.hostname && (url.protocol === "https:" || first.protocol !== "https:");
}

/** A GET that takes a place at its host until it is destroyed. */
async function getInTurn(url: URL, options: GetOptions & Pick<SourceOptions, "hostSlots">): Promise<Reply> {
  const release = await options.hostSlots?.take(`${hostOf(url)}:${portOf(url)}`, options.signal);
  try {
    const reply = await getReply(url, options);
    const destroy = () => {
      reply.destroy();
      release?.();
    };
    return { ...reply, destroy };
  } catch (error) {
    release?.();
    throw error;
  }
}

/**
 * Asks an image source, and follows its redirects. Each hop must be of an allowed host, and no name
 * of a source may lead to this machine or its link.
 * @returns the reply of the last hop, and its URL. Its body breaks with ECONNRESET if it is cut
 * short, and with SourceFailure if it falls silent.
 * Throws SourceFailure, or what node:http says, or the signal's reason.
 */
export async function openSource(
  start: string,
  options: SourceOptions,
): Promise<{ readonly reply: Reply; readonly url: string }> {
  let url = new URL(start);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    if (!isAllowed(options.hosts, url))
      throw refuse(url, "the configuration's imageSources does not allow it");
    const reply = await getInTurn(url, {
      ...options,
      headers: { ...(mayKnow(url, new URL(start)) && options.headers), ...options.openHeaders },
      lookup: mayBeLocal(options.hosts, url) ? undefined : checkedLookup(url),
      silent: (message) => new SourceFailure("silent", message),
    });
    const { location } = reply.headers;
    if (!REDIRECTS.has(reply.statusCode) || location === undefined) return { reply, url: url.href };
    reply.destroy();
    if (!URL.canParse(location, url.href)) throw refuse(url, "its redirect is no URL");
    url = new URL(location, url);
  }
  throw new SourceFailure("redirects", `more than ${MAX_REDIRECTS} redirects, url: ${shownUrl(url.href)}`);
}
