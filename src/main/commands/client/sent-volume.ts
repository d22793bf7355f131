import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { CallFailure, EXIT, statusOfHttp } from "./call-failure.js";
import { type DaemonAddress, nameOf } from "./daemon-address.js";
import { failureOf, type ReplyError } from "./daemon-client.js";
import { requestDaemon, textOfReply } from "./daemon-request.js";
import type { ShownRecord } from "./record-tables.js";
import { createTransferProgress } from "./transfer-progress.js";

export interface ReceiveFlags {
  readonly pool?: string | undefined;
  readonly force?: boolean | undefined;
}

/** What the daemon answers, and its text: a size may have more digits than a number of JavaScript keeps. */
export interface ReceiveAnswer {
  readonly text: string;
  readonly volumes: readonly ShownRecord[];
  /** The full names of what `force` has destroyed. */
  readonly destroyed: readonly string[];
}

function urlOf({ base }: DaemonAddress, id: string, { pool, force }: ReceiveFlags): URL {
  const url = new URL("/volumes/receive", base);
  url.searchParams.set("id", id);
  if (pool !== undefined) url.searchParams.set("pool", pool);
  if (force) url.searchParams.set("force", "true");
  return url;
}

/** The text of an answer that is none of a failure. Rejects with a CallFailure for others. */
async function answerOf(address: DaemonAddress, reply: IncomingMessage): Promise<string> {
  const text = await textOfReply(address, reply);
  const { statusCode = 0 } = reply;
  if (statusCode === 200) return text.trim();
  let error: ReplyError | undefined;
  try {
    ({ error } = JSON.parse(text));
  } catch {
    // Plain text, as of a request without a token.
  }
  if (error) throw failureOf(error);
  const line = text.trim().split("\n")[0] || `HTTP status ${statusCode} from ${nameOf(address)}`;
  throw new CallFailure(line, statusOfHttp(statusCode));
}

/** The stream of a file, or with `-` of stdin. Rejects with a CallFailure. */
async function openSource(input: string): Promise<{ source: Readable; bytes: number | undefined }> {
  if (input === "-") {
    if (process.stdin.isTTY)
      throw new CallFailure("a stream is nothing to type: name a file, or use a pipe", EXIT.refused);
    return { source: process.stdin, bytes: undefined };
  }
  try {
    await using file = await open(input);
    const stats = await file.stat();
    return { source: createReadStream(input), bytes: stats.isFile() ? stats.size : undefined };
  } catch (error) {
    const status = codeOf(error) === "ENOENT" ? EXIT.notFound : EXIT.refused;
    throw new CallFailure(`${input}: ${messageOf(error)}`, status);
  }
}

/**
 * Sends a stream to the daemon, which makes a volume of it or brings one up to date. `input`: a file, or `-`
 * for stdin. Rejects with a CallFailure.
 */
export async function receiveVolume(
  address: DaemonAddress,
  id: string,
  input: string,
  flags: ReceiveFlags,
): Promise<ReceiveAnswer> {
  const { source, bytes: length } = await openSource(input);
  const progress = createTransferProgress(process.stderr, () => length);
  let bytes = 0;
  source.on("data", (piece: Buffer) => {
    bytes += piece.length;
    progress.update(bytes);
  });
  try {
    const headers = {
      "content-type": "application/octet-stream",
      ...(length !== undefined && { "content-length": length }),
    };
    const url = urlOf(address, id, flags);
    const reply = await requestDaemon(address, url, { method: "POST", headers, agent: false, body: source });
    const text = await answerOf(address, reply);
    const { volumes, received } = JSON.parse(text);
    return { text, volumes, destroyed: received.destroyed };
  } finally {
    progress.end();
    source.destroy();
  }
}

/** The token by which a stream into a volume that broke goes on. Rejects with a CallFailure: there is none. */
export async function receiveToken(address: DaemonAddress, id: string, flags: ReceiveFlags): Promise<string> {
  const url = urlOf(address, id, { pool: flags.pool });
  const text = await answerOf(address, await requestDaemon(address, url, { agent: false }));
  const [found] = JSON.parse(text).receives;
  if (typeof found?.token === "string") return found.token;
  throw new CallFailure(`${id}: no stream into it has broken that could go on`, EXIT.notFound);
}
