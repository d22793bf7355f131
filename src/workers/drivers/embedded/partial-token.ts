import { createHash } from "node:crypto";
import type { PartialState } from "./partial-state.js";

/** What a token of a receiver with an embedded pool says. It comes from a client: each of these must be checked. */
export type PartialToken = Pick<PartialState, "toName" | "toGuid" | "fromGuid" | "offset" | "streamBytes">;

/** The first character tells it from a token of OpenZFS, the number is the version of what follows. */
const PREFIX = "e1";
const CHECK_CHARACTERS = 16;
const MEMBERS = 5;
const MOST_NAME_CHARACTERS = 255;

const isGuid = (value: unknown): value is string => typeof value === "string" && /^\d{1,20}$/.test(value);
const isPlace = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isName = (value: unknown): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= MOST_NAME_CHARACTERS;

const checkOf = (hex: string) => createHash("sha256").update(hex).digest("hex").slice(0, CHECK_CHARACTERS);

/** `e1-CHECK-CONTENT`, in hex digits: what belongs into a query without a change. */
export function writePartialToken(token: PartialToken): string {
  const { toName, toGuid, fromGuid, offset, streamBytes } = token;
  const hex = Buffer.from(JSON.stringify([toName, toGuid, fromGuid, offset, streamBytes])).toString("hex");
  return `${PREFIX}-${checkOf(hex)}-${hex}`;
}

export function isOfEmbedded(token: string): boolean {
  return token.startsWith("e");
}

/** Undefined: it is damaged, or of another kind or version. */
export function readPartialToken(text: string): PartialToken | undefined {
  const [prefix, check, hex = "", ...more] = text.split("-");
  if (prefix !== PREFIX || more.length > 0 || check !== checkOf(hex)) return undefined;
  try {
    const content: unknown = JSON.parse(Buffer.from(hex, "hex").toString());
    if (!Array.isArray(content) || content.length !== MEMBERS) return undefined;
    const [toName, toGuid, fromGuid, offset, streamBytes]: readonly unknown[] = content;
    const isRight =
      isName(toName) && isGuid(toGuid) && isGuid(fromGuid) && isPlace(offset) && isPlace(streamBytes);
    return isRight ? { toName, toGuid, fromGuid, offset, streamBytes } : undefined;
  } catch {
    return undefined;
  }
}
