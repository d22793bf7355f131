import type { SpanParent } from "../../protocol/tracing/span.js";

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/**
 * Reads the header `traceparent` of a request, by W3C Trace Context. Undefined: there is none, or it is none by
 * that rule, and a new trace begins.
 */
export function readTraceparent(header: string): (SpanParent & { readonly isSampled: boolean }) | undefined {
  const [, version = "", traceId = "", spanId = "", flags = "", more] = FORM.exec(header) ?? [];
  // Later versions may have more behind the flags.
  if (version === "" || version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}
