import type { IncomingMessage } from "node:http";
import { CallFailure, statusOfFailure, statusOfHttp } from "./call-failure.js";
import type { DaemonAddress } from "./daemon-address.js";
import { requestDaemon } from "./daemon-request.js";

/** The stream of a snapshot, which the daemon has begun to send. */
export interface SnapshotStream {
  /** Ends early, and by an error, where the connection is cut: but see `isBulk`. */
  readonly reply: IncomingMessage;
  /** The id of the download, for its result. */
  readonly download: string;
  /** Its end is that of the connection, and may be a cut that nobody notices: the result tells. */
  readonly isBulk: boolean;
  /** About how many bytes it has; undefined where that was not asked for, and where nobody can tell. */
  readonly estimatedBytes: number | undefined;
}

/** What a download asks for beside its snapshot, as members of its query. */
export interface DownloadFlags {
  readonly pool?: string | undefined;
  readonly from?: string | undefined;
  readonly intermediates?: true | undefined;
  readonly flags?: string | undefined;
  readonly rate?: string | undefined;
  readonly resume?: string | undefined;
}

const MEMBERS = ["pool", "from", "intermediates", "flags", "rate", "resume"] as const;

/** How a download ended, as docs/api.md has it. */
export interface DownloadResult {
  readonly state: "running" | "complete" | "failed";
  readonly bytes?: number;
  readonly reason?: string;
  readonly message?: string;
}

/** A second port that a firewall hides answers nothing at all. */
const CONNECT_MS = 5_000;
/** The daemon itself waits a second for the end of a download that runs. */
const RESULT_ASKS = 30;
const MOST_TEXT_BYTES = 64 * 1024;

/** Resolves with the head of the reply. Rejects with a CallFailure if there is none. */
function get(address: DaemonAddress, url: URL, connectMs?: number): Promise<IncomingMessage> {
  return requestDaemon(address, url, { agent: false }, (sent) => {
    if (connectMs === undefined) return;
    const timer = setTimeout(
      () => sent.destroy(new Error(`no connection within ${connectMs / 1_000} s`)),
      connectMs,
    );
    const stop = () => clearTimeout(timer);
    sent.once("socket", (socket) => socket.once("connect", stop));
    sent.once("close", stop);
  });
}

async function textOf(reply: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of reply) {
    bytes += part.length;
    if (bytes <= MOST_TEXT_BYTES) parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8").trim();
}

async function accept(reply: IncomingMessage, url: URL, isBulk: boolean): Promise<SnapshotStream> {
  const { statusCode: status = 0, headers } = reply;
  if (status === 200) {
    const estimated = Number(headers["x-estimated-bytes"]);
    const estimatedBytes = estimated > 0 ? estimated : undefined;
    return { reply, download: String(headers["x-download-id"] ?? ""), isBulk, estimatedBytes };
  }
  const text = await textOf(reply).catch(() => "");
  const first = text.split("\n")[0] || `HTTP status ${status} from ${url.origin}`;
  // The reply has the words of the original, which don't say what.
  const line = first === "not found" ? `${first}: ${url.searchParams.get("id")}` : first;
  throw new CallFailure(line, statusOfHttp(status));
}

/**
 * Asks the daemon at `address` for the stream of a snapshot, on the fastest path that it has. Where its
 * second port can't be reached, the main port serves it. Rejects with a CallFailure.
 */
export async function openSnapshotStream(
  address: DaemonAddress,
  id: string,
  { terms, wantsEstimate }: { readonly terms: DownloadFlags; readonly wantsEstimate: boolean },
): Promise<SnapshotStream> {
  const { base, socketPath } = address;
  const plain = new URL("/snapshots/download", base);
  plain.searchParams.set("id", id);
  for (const name of MEMBERS) {
    const value = terms[name];
    if (value !== undefined) plain.searchParams.set(name, value === true ? "1" : value);
  }
  if (wantsEstimate) plain.searchParams.set("estimate", "1");
  // The second port wants a token, which a client of the socket need not have.
  if (socketPath !== undefined) return accept(await get(address, plain), plain, false);
  const fast = new URL(plain);
  fast.searchParams.set("redirect", "1");
  const first = await get(address, fast);
  if (first.statusCode !== 307) return accept(first, fast, false);
  first.resume();
  const { location = "" } = first.headers;
  const second = URL.canParse(location) ? new URL(location) : undefined;
  // The token is for the daemon, and not for whoever else a reply names.
  const isItself = second?.hostname === base.hostname && second?.protocol === base.protocol;
  const reply =
    second && isItself ? await get(address, second, CONNECT_MS).catch(() => undefined) : undefined;
  return reply && second ? accept(reply, second, true) : accept(await get(address, plain), plain, false);
}

function isResult(value: unknown): value is DownloadResult {
  return typeof value === "object" && value !== null && "state" in value;
}

/** Undefined: the daemon does not know the download, or does not answer. */
async function askOnce(address: DaemonAddress, download: string): Promise<DownloadResult | undefined> {
  const url = new URL("/snapshots/download/result", address.base);
  url.searchParams.set("download", download);
  try {
    const reply = await get(address, url, CONNECT_MS);
    const text = await textOf(reply);
    const value: unknown = reply.statusCode === 200 ? JSON.parse(text) : undefined;
    return isResult(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** How a download has ended. Undefined: nobody knows. */
export async function askResult(
  address: DaemonAddress,
  download: string,
): Promise<DownloadResult | undefined> {
  for (let asks = 0; asks < RESULT_ASKS; asks++) {
    const result = await askOnce(address, download);
    if (result?.state !== "running") return result;
  }
  return undefined;
}

/** Why a download that failed did, as its result tells it. */
export function failureOfResult({
  reason = "",
  message = "the download failed",
}: DownloadResult): CallFailure {
  return new CallFailure(message, statusOfFailure(reason));
}
