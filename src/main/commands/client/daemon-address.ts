import { resolve } from "node:path";
import { InvalidArgumentError } from "commander";

/** Where a daemon is. */
export interface DaemonPlace {
  readonly base: URL;
  /** The unix socket by which it is asked for what is below `base`. Undefined: by the network. */
  readonly socketPath?: string;
}

/** How a daemon with TLS is known, and how it knows its caller. All are PEM. */
export interface TlsFiles {
  /** The certificates that a daemon's must be signed by. Without them, those that Node knows. */
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** A daemon to call, and who calls it. */
export interface DaemonAddress extends DaemonPlace {
  readonly tls: TlsFiles;
  /** That every request has. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Addresses to listen on that are none to connect to. */
const ANY_ADDRESS: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

const URL_RULE = "must be http://HOST:PORT, https://HOST:PORT or unix:/PATH";

/** What is wrong with a text that is no address of a daemon. */
export function urlProblem(text: string): string {
  if (text.startsWith("/")) return `${URL_RULE}, did you mean unix:${text}?`;
  return /^[\w.-]+(:\d+)?$/.test(text) ? `${URL_RULE}, did you mean http://${text}?` : URL_RULE;
}

/** For commander's `option`: `http://HOST:PORT`, `https://HOST:PORT`, or `unix:/PATH` of a socket. */
export function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  if (url?.protocol === "unix:" && url.pathname.startsWith("/")) return url;
  throw new InvalidArgumentError(urlProblem(text));
}

/** The URL of a unix socket. */
export function urlOfSocket(path: string): URL {
  return new URL(`unix:${resolve(path).split("/").map(encodeURIComponent).join("/")}`);
}

export function placeOf(url: URL): DaemonPlace {
  if (url.protocol !== "unix:") return { base: url };
  return { base: new URL("http://localhost"), socketPath: decodeURIComponent(url.pathname) };
}

/** How messages name it. */
export function nameOf({ base, socketPath }: DaemonPlace): string {
  return socketPath === undefined ? base.origin : `unix:${socketPath}`;
}

/** The URL of a daemon that listens there. */
export function urlOf({ host, port }: { readonly host: string; readonly port: number }): URL {
  const address = ANY_ADDRESS[host] ?? host;
  return new URL(`http://${address.includes(":") ? `[${address}]` : address}:${port}`);
}
