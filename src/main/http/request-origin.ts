import { isIP } from "node:net";
import { hostname } from "node:os";
import type { HttpRequest } from "../../protocol/http/transport.js";

export interface RequestOriginOptions {
  /** Names besides this machine's by which clients may call the daemon, as in `Host`. */
  readonly names: readonly string[];
  /** Origins whose pages may call the daemon: `https://console.example`. */
  readonly origins: readonly string[];
  /** Whether the daemon serves a page itself: then pages of its own origin may call it. */
  readonly ui: boolean;
}

/**
 * Decides whether a request may come from a page of another site. The daemon has no
 * credentials that a page would lack, so a page that a browser shows on this machine could
 * call it. A browser says so in one of three headers that agents don't send like this:
 * `Origin`, `Sec-Fetch-Site`, or a `Host` that only the page's own DNS maps to this machine.
 * @returns why the request is refused, or undefined.
 */
export type OriginCheck = (request: HttpRequest) => string | undefined;

export function createOriginCheck({ names, origins, ui }: RequestOriginOptions): OriginCheck {
  const machine = hostname().toLowerCase();
  const [shortName = machine] = machine.split(".");
  const knownNames = new Set(["localhost", machine, shortName, ...names.map((name) => name.toLowerCase())]);
  const knownOrigins = new Set(origins);
  /** The last `Host` that passed: clients send the same each time, and taking it apart costs more. */
  let passedHost = "";

  return (request) => {
    const host = request.header("host");
    if (host !== passedHost) {
      const name = hostName(host);
      if (name !== "" && isIP(name) === 0 && !knownNames.has(name)) {
        return `forbidden: the request's Host ${JSON.stringify(host)} is no name of this machine; listen.names allows more`;
      }
      passedHost = host;
    }
    const origin = request.header("origin");
    if (origin !== "" && !knownOrigins.has(origin) && !(ui && isOwnOrigin(origin, host))) {
      return `forbidden: the request's Origin ${JSON.stringify(origin)} is not allowed; listen.origins allows some`;
    }
    const site = request.header("sec-fetch-site");
    if (site !== "" && site !== "same-origin" && site !== "none" && origin === "") {
      return `forbidden: the request's Sec-Fetch-Site is ${JSON.stringify(site)}; listen.origins allows some origins`;
    }
    return undefined;
  };
}

/**
 * Whether an origin is where the request has gone to. Its `Host` is known by then, so nobody else can have served
 * the page. A TLS proxy may be in between.
 */
function isOwnOrigin(origin: string, host: string): boolean {
  return host !== "" && (origin === `http://${host}` || origin === `https://${host}`);
}

/** The name or address of a `Host` header, in lower case, without port, brackets and last dot. */
function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host);
  if (bracketed) return bracketed[1] ?? "";
  return host.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
}
