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

/** A text as a string: the bytes of a long one are read as UTF-8. */
export function stringOf(text: JsonText): string {
  return typeof text === "string" ? text : Buffer.from(text).toString();
}
