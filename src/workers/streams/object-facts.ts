import type { IncomingHttpHeaders } from "node:http";
import { statedSha256 } from "./stated-digest.js";

/** What a reply says of the object that it brings, or a part of it. */
export interface ObjectFacts {
  /** Of the whole object, in bytes; undefined if the reply does not say it. */
  readonly length: number | undefined;
  readonly etag: string | undefined;
  /** What `If-Range` may name: it is another one for each version of the object. */
  readonly validator: string | undefined;
  /** The SHA-256 of the whole, in hex. */
  readonly digest: string | undefined;
}

/** A part of an object, as Content-Range states it: RFC 9110, section 14.4. */
export interface StatedRange {
  /** Its first byte, and the one behind its last; undefined where the object has no such part. */
  readonly part: { readonly start: number; readonly end: number } | undefined;
  /** How long the whole is; undefined if that is not stated. */
  readonly total: number | undefined;
}

/** A time of Last-Modified is a strong validator only if the reply is later by so much: RFC 9110, section 8.8.2.2. */
const CLEARLY_LATER_MS = 1_000;

function validatorOf({ etag, date, "last-modified": modified }: IncomingHttpHeaders): string | undefined {
  if (etag !== undefined) return etag.startsWith('"') ? etag : undefined;
  if (modified === undefined || date === undefined) return undefined;
  return Date.parse(date) - Date.parse(modified) >= CLEARLY_LATER_MS ? modified : undefined;
}

export function statedRange({ "content-range": text }: IncomingHttpHeaders): StatedRange | undefined {
  const found = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(?:(\d{1,15})|\*)$/i.exec(text ?? "");
  if (!found) return undefined;
  const [, first, last, total] = found;
  return {
    part: first === undefined ? undefined : { start: Number(first), end: Number(last) + 1 },
    total: total === undefined ? undefined : Number(total),
  };
}

/** Of a reply with a whole object, or with a part of one. */
export function factsOf(statusCode: number, headers: IncomingHttpHeaders): ObjectFacts {
  const { "content-length": length, etag } = headers;
  const isPart = statusCode !== 200;
  const total = isPart ? statedRange(headers)?.total : length === undefined ? undefined : Number(length);
  // Content-Digest and Digest of a part are of the part alone.
  const digested = isPart ? { "repr-digest": headers["repr-digest"] } : headers;
  return { length: total, etag, validator: validatorOf(headers), digest: statedSha256(digested) };
}

/** Why two replies can't be about the same object; undefined if nothing says so. */
export function differenceOf(before: ObjectFacts, now: ObjectFacts): string | undefined {
  const differs = (key: keyof ObjectFacts) =>
    before[key] !== undefined && now[key] !== undefined && before[key] !== now[key];
  if (differs("length")) return `it has ${now.length} bytes instead of ${before.length}`;
  if (differs("etag")) return "its ETag is another one";
  if (differs("digest")) return "its digest is another one";
  return undefined;
}
