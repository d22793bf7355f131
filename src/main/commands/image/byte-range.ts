/** What a `Range` header asks for of a whole of some bytes; `end` is behind the last byte. */
export type ByteRange =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

const WHOLE: ByteRange = { kind: "whole" };

/**
 * Reads a `Range` header: `bytes=5-9`, `bytes=5-`, `bytes=-5`. What is no such range, or
 * names several, is answered with the whole, as RFC 9110 section 14.2 allows.
 */
export function parseByteRange(header: string | undefined, wholeBytes: number): ByteRange {
  const found = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? "");
  if (!found) return WHOLE;
  const [, first = "", last = ""] = found;
  if (first === "") {
    if (last === "") return WHOLE;
    const start = Math.max(0, wholeBytes - Number(last));
    return start < wholeBytes ? { kind: "part", start, end: wholeBytes } : { kind: "unsatisfiable" };
  }
  const start = Number(first);
  const end = last === "" ? wholeBytes : Math.min(wholeBytes, Number(last) + 1);
  if (last !== "" && Number(last) < start) return WHOLE;
  return start < wholeBytes ? { kind: "part", start, end } : { kind: "unsatisfiable" };
}
