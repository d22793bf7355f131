import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import type { Readable } from "node:stream";
import { createSecureContext, rootCertificates } from "node:tls";
import { Client } from "minio";
import type { BackupProfile } from "../../protocol/storage/backup-profile.js";
import { codeOf } from "../../protocol/storage/caught-error.js";
import { readKeyFile } from "./key-file.js";
import { getSigned } from "./signed-get.js";
import { SilentStore } from "./store-failures.js";

/** An object, by its name below the prefix of the profile. */
interface StoreEntry {
  readonly name: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly writtenAt: number;
}

/** An upload in parts that was neither completed nor aborted. */
interface OpenUpload {
  readonly name: string;
  readonly uploadId: string;
  readonly begunAt: number;
}

/** A part that the store has. */
interface StoredPart {
  readonly part: number;
  readonly etag: string;
}

/**
 * All that is asked of a store: the part of S3 that every one of them has. Names are below the prefix of the
 * profile. Each call is one request, but for `list` and `openUploads`, and rejects as it fails: whoever calls
 * repeats it. A call that was ended by the signal rejects too.
 */
export interface ObjectStore {
  /** All objects whose names begin with `folder`, in the order of their names. */
  list(folder: string): Promise<readonly StoreEntry[]>;
  /** Bytes of an object; undefined: there is none. */
  sizeOf(name: string): Promise<number | undefined>;
  /** The content of an object from a byte on. Undefined: there is none. */
  open(name: string, from?: number): Promise<Readable | undefined>;
  /** The same, in memory that is used again: a chunk is its reader's until the next one is asked for. */
  lend(name: string, from?: number): Promise<AsyncIterable<Buffer> | undefined>;
  put(name: string, content: Buffer): Promise<void>;
  beginUpload(name: string): Promise<string>;
  putPart(name: string, uploadId: string, part: number, content: Buffer): Promise<StoredPart>;
  /** Also of one that is gone: an answer may have been lost. Whether the object is there must be looked for. */
  completeUpload(name: string, uploadId: string, parts: readonly StoredPart[]): Promise<void>;
  /** Also of one that is gone. */
  abortUpload(name: string, uploadId: string): Promise<void>;
  /** None of a store that can't list them. */
  openUploads(folder: string): Promise<readonly OpenUpload[]>;
  /** Also of one that is gone. */
  remove(name: string): Promise<void>;
  /** Closes its connections. */
  close(): void;
}

interface StoreLimits {
  /** A request fails if nothing moves for this long. */
  readonly idleMs: number;
  /** Ends every request. */
  readonly signal: AbortSignal;
}

/**
 * In no name of ours. The client always sends a delimiter, and with an empty one Swift lists no uploads but one name that
 * all have in common.
 */
const NO_DELIMITER = "|";

/** For how long a signed URL is good: as long as S3 lets clocks differ. It is used at once. */
const SIGNED_S = 15 * 60;

const GONE: ReadonlySet<string> = new Set(["NoSuchKey", "NotFound", "NoSuchUpload"]);
const isGone = (error: unknown) => GONE.has(codeOf(error));

type Answered = (answer: IncomingMessage) => void;

/** Sends the requests of one store, and ends them when the signal says so or when they are silent. */
function createTransport(isTls: boolean, { idleMs, signal }: StoreLimits) {
  const running = new Set<ClientRequest>();
  signal.addEventListener("abort", () => {
    for (const each of running) each.destroy(new Error("ended"));
  });
  function request(options: RequestOptions | string | URL, onAnswer?: Answered): ClientRequest;
  function request(url: string | URL, options: RequestOptions, onAnswer?: Answered): ClientRequest;
  function request(
    options: RequestOptions | string | URL,
    onAnswer?: Answered | RequestOptions,
  ): ClientRequest {
    if (typeof onAnswer === "object") throw new Error("the client of the store names its options first");
    const sent = isTls ? httpsRequest(options, onAnswer) : httpRequest(options, onAnswer);
    running.add(sent);
    sent.once("close", () => running.delete(sent));
    sent.setTimeout(idleMs, () => void sent.destroy(new SilentStore("the store went silent")));
    if (signal.aborted) sent.destroy(new Error("ended"));
    return sent;
  }
  return { request };
}

/** Reads the keys, and makes no request yet. Rejects as the files can't be read. */
export async function openObjectStore(profile: BackupProfile, limits: StoreLimits): Promise<ObjectStore> {
  const { endpoint, region, bucket, pathStyle, caFile } = profile;
  const [accessKey, secretKey, ca] = await Promise.all([
    readKeyFile(profile.accessKeyFile),
    readKeyFile(profile.secretKeyFile),
    caFile === undefined ? undefined : readFile(caFile, "utf8"),
  ]);
  const url = new URL(endpoint);
  const isTls = url.protocol === "https:";
  const trust = ca === undefined ? {} : { ca: [...rootCertificates, ca] };
  const agent = isTls ? new Agent({ keepAlive: true, ...trust }) : undefined;
  const client = new Client({
    endPoint: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    ...(url.port !== "" && { port: Number(url.port) }),
    ...{ useSSL: isTls, accessKey, secretKey, region, pathStyle },
    transport: createTransport(isTls, limits),
    // What repeats is above this: it has to count, and to wait for its signal.
    retryOptions: { disableRetry: true },
    ...(agent && { transportAgent: agent }),
  });
  const prefix = profile.prefix === "" ? "" : `${profile.prefix}/`;
  const keyOf = (name: string) => prefix + name;
  const nameOf = (key: string) => key.slice(prefix.length);
  const open: ObjectStore["open"] = (name, from = 0) =>
    (from === 0
      ? client.getObject(bucket, keyOf(name))
      : client.getPartialObject(bucket, keyOf(name), from)
    ).catch((error: unknown) => {
      if (isGone(error)) return undefined;
      throw error;
    });
  return {
    async list(folder) {
      const found: StoreEntry[] = [];
      for (let token = ""; ; ) {
        const page = await client.listObjectsV2Query(bucket, keyOf(folder), token, "", 1_000, "");
        for (const { name, size, lastModified } of page.objects) {
          if (name === undefined || size === undefined) continue;
          found.push({ name: nameOf(name), bytes: size, writtenAt: Number(lastModified) });
        }
        if (!page.isTruncated || !page.nextContinuationToken) return found;
        token = page.nextContinuationToken;
      }
    },
    sizeOf: (name) =>
      client.statObject(bucket, keyOf(name)).then(
        ({ size }) => size,
        (error: unknown) => {
          if (isGone(error)) return undefined;
          throw error;
        },
      ),
    open,
    lend: async (name, from = 0) => {
      const url = await client.presignedGetObject(bucket, keyOf(name), SIGNED_S);
      const secureContext = ca === undefined ? undefined : createSecureContext(trust);
      // What else it answers is told by a request of the client.
      return (await getSigned(url, { ...limits, from, secureContext })) ?? open(name, from);
    },
    put: async (name, content) => void (await client.putObject(bucket, keyOf(name), content, content.length)),
    beginUpload: (name) => client.initiateNewMultipartUpload(bucket, keyOf(name), {}),
    putPart: (name, uploadID, partNumber, content) =>
      client.uploadPart(
        {
          ...{ bucketName: bucket, objectName: keyOf(name), uploadID, partNumber },
          // Over http the client signs the digest of the body.
          headers: {
            "Content-Length": content.length,
            ...(isTls && { "Content-MD5": createHash("md5").update(content).digest("base64") }),
          },
        },
        content,
      ),
    completeUpload: (name, uploadId, parts) =>
      client.completeMultipartUpload(bucket, keyOf(name), uploadId, [...parts]).then(
        () => {},
        (error: unknown) => {
          if (!isGone(error)) throw error;
        },
      ),
    abortUpload: (name, uploadId) =>
      client.abortMultipartUpload(bucket, keyOf(name), uploadId).catch((error: unknown) => {
        if (!isGone(error)) throw error;
      }),
    async openUploads(folder) {
      const found: OpenUpload[] = [];
      let [keyMarker, idMarker] = ["", ""];
      for (;;) {
        const page = await client
          .listIncompleteUploadsQuery(bucket, keyOf(folder), keyMarker, idMarker, NO_DELIMITER)
          .catch((error: unknown) => {
            if (codeOf(error) === "NotImplemented") return undefined;
            throw error;
          });
        if (!page) return found;
        for (const { key, uploadId, initiated } of page.uploads) {
          found.push({ name: nameOf(key), uploadId, begunAt: Number(initiated) });
        }
        if (!page.isTruncated) return found;
        [keyMarker, idMarker] = [page.nextKeyMarker, page.nextUploadIdMarker];
      }
    },
    remove: (name) =>
      client.removeObject(bucket, keyOf(name)).catch((error: unknown) => {
        if (!isGone(error)) throw error;
      }),
    close: () => agent?.destroy(),
  };
}
