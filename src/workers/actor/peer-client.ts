import { readFile } from "node:fs/promises";
import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { messageOf } from "../../protocol/storage/caught-error.js";
import {
  type FailedOutcome,
  fail,
  type Outcome,
  succeed,
  tellAbout,
} from "../../protocol/storage/failures.js";
import type { PeerSettings } from "../../protocol/storage/pool-settings.js";

/** Another daemon that this one may ask. */
export interface Peer {
  readonly name: string;
  /** Without a path. */
  readonly url: URL;
  /** Of each request; it has the token. */
  readonly headers: Readonly<Record<string, string>>;
  readonly bytesPerSecond: number | undefined;
  /** The certificates that sign its own, in PEM; undefined: those of the system. */
  readonly ca: string | undefined;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** A call of a peer answers with some lines, or it is no answer. */
const LONGEST_REPLY_BYTES = 16 * 1024 * 1024;
/** It may wait for a lock there, and for commands. */
const REPLY_MS = 120_000;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function unreachable({ name }: Pick<Peer, "name">, why: string): FailedOutcome {
  return tellAbout(fail("peer.unreachable", `the peer ${name} can't be reached: ${why}`), { field: "peer" });
}

export function refusedByPeer({ name }: Pick<Peer, "name">, why: string): FailedOutcome {
  return tellAbout(fail("peer.refused", `the peer ${name} refuses: ${why}`), { field: "peer" });
}

/** Reads what the configuration says of a peer. Fails: peer.unknown, peer.unreachable (a file can't be read). */
export async function openPeer(
  peers: Readonly<Record<string, PeerSettings>>,
  name: string,
): Promise<Outcome<Peer>> {
  const settings = Object.hasOwn(peers, name) ? peers[name] : undefined;
  if (!settings) {
    const known = Object.keys(peers).join(", ") || "none";
    const unknown = fail("peer.unknown", `no such peer is configured: ${JSON.stringify(name.slice(0, 64))}`);
    return tellAbout(unknown, { field: "peer", wanted: known });
  }
  try {
    const token = settings.tokenFile && (await readFile(settings.tokenFile, "utf8")).trim();
    const ca = settings.caFile && (await readFile(settings.caFile, "utf8"));
    return succeed({
      name,
      url: new URL(settings.url),
      headers: token ? { authorization: `Bearer ${token}` } : {},
      bytesPerSecond: settings.bytesPerSecond,
      ca: ca || undefined,
    });
  } catch (error) {
    return unreachable({ name }, `a file of its settings can't be read: ${messageOf(error)}`);
  }
}

/** The record of a reply that lists a single one. */
export function oneOf(list: unknown): unknown {
  return Array.isArray(list) ? list[0] : undefined;
}

async function textOf(reply: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const read of reply) {
    const piece: Buffer = read;
    bytes += piece.length;
    if (bytes > LONGEST_REPLY_BYTES) throw new Error("its reply is too long");
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function post(
  { url, headers, ca }: Peer,
  body: string,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const options = {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", connection: "close" },
    timeout: REPLY_MS,
    ...(signal && { signal }),
    // The connection is not kept: whether the other side has closed one in the meantime can't be known.
    agent: false as const,
  };
  return new Promise((resolve, reject) => {
    const target = new URL("/rpc", url);
    const sent =
      url.protocol === "https:"
        ? requestTls(target, { ...options, ...(ca !== undefined && { ca }) }, resolve)
        : requestPlain(target, options, resolve);
    sent.once("timeout", () => sent.destroy(new Error(`nothing came for ${REPLY_MS} ms`)));
    sent.once("error", reject);
    sent.end(body);
  });
}

/** What a peer says of a call that it did not do. What may pass by itself keeps that. */
function failureOf(peer: Peer, error: JsonObject): FailedOutcome {
  const message = String(error.message ?? "no reason");
  const { retryable, reason } = isObject(error.data) ? error.data : {};
  const refused = refusedByPeer(peer, message);
  if (retryable === true) return unreachable(peer, message);
  return reason === "dataset.not_found"
    ? tellAbout(fail("dataset.not_found", `the peer ${peer.name}: ${message}`), { field: "source" })
    : refused;
}

/**
 * Calls a method of a peer. Fails: peer.unreachable, also where it says that the call may succeed later;
 * dataset.not_found; peer.refused for all else that it says.
 */
export async function callPeer(
  peer: Peer,
  method: string,
  params: JsonObject,
  signal?: AbortSignal,
): Promise<Outcome<JsonObject>> {
  let text: string;
  let status: number | undefined;
  try {
    const reply = await post(peer, JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }), signal);
    status = reply.statusCode;
    text = await textOf(reply);
  } catch (error) {
    return unreachable(peer, messageOf(error));
  }
  if (status === 401 || status === 403) return refusedByPeer(peer, text.trim());
  if (status !== 200) return unreachable(peer, `it answers ${status}: ${text.slice(0, 200).trim()}`);
  try {
    const reply: unknown = JSON.parse(text);
    if (isObject(reply) && isObject(reply.error)) return failureOf(peer, reply.error);
    if (isObject(reply) && isObject(reply.result)) return succeed(reply.result);
  } catch {
    // Below.
  }
  return refusedByPeer(peer, "its reply is no JSON-RPC");
}
