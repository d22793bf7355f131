/** The part of a file that a `Range` header selects. `start` is the first byte, `end` is exclusive. */
export type ByteRange =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "unsatisfiable" };

const WHOLE: ByteRange = { kind: "whole" };

/**
 * Parses a `Range` header: `bytes=5-9`, `bytes=5-` or `bytes=-5`. A malformed header, and
 * one with several ranges, selects the whole file, as RFC 9110 section 14.2 allows.
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
