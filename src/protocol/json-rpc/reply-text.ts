/** Of a UTF-16 code unit. */
const MOST_UTF8_BYTES = 3;

/** JSON text: a string, or the UTF-8 bytes of a long one, which several replies may share. */
export type JsonText = string | Uint8Array;

/** The text of a reply: in parts if some of them are bytes, which are not copied. */
export type ReplyText = string | readonly JsonText[];

/** Puts texts together. */
export function joinTexts(texts: readonly ReplyText[]): ReplyText {
  const parts: JsonText[] = [];
  for (const part of texts.flat()) {
    const last = parts.at(-1);
    if (typeof part === "string" && typeof last === "string") parts[parts.length - 1] = last + part;
    else parts.push(part);
  }
  const [first = ""] = parts;
  return parts.length <= 1 && typeof first === "string" ? first : parts;
}

/** The bytes of a text in UTF-8. */
export function byteLength(text: JsonText): number {
  return typeof text === "string" ? Buffer.byteLength(text) : text.length;
}

/** Whether a text has more bytes than this, in UTF-8. Most are so short that they need not be counted. */
export function isLongerThan(text: JsonText, mostBytes: number): boolean {
  return (
    text.length > mostBytes || (text.length * MOST_UTF8_BYTES > mostBytes && byteLength(text) > mostBytes)
  );
}

/** A text as a string: the bytes of a long one are read as UTF-8. */
export function stringOf(text: JsonText): string {
  return typeof text === "string" ? text : Buffer.from(text).toString();
}
