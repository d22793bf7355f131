import { InvalidArgumentError } from "commander";

/** A daemon to call, and who calls it. */
export interface DaemonAddress {
  readonly base: URL;
  /** That every request has. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Addresses to listen on that are none to connect to. */
const ANY_ADDRESS: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** For commander's `option`: `http://HOST:PORT`. */
export function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new InvalidArgumentError("must be http://HOST:PORT");
}

/** The URL of a daemon that listens there. */
export function urlOf({ host, port }: { readonly host: string; readonly port: number }): URL {
  const address = ANY_ADDRESS[host] ?? host;
  return new URL(`http://${address.includes(":") ? `[${address}]` : address}:${port}`);
}
