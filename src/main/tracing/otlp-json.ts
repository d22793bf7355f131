import type { SpanAttributes, SpanKind, SpanRecord } from "../../protocol/tracing/span.js";

/** Numbers of the enumeration SpanKind of opentelemetry/proto/trace/v1/trace.proto. */
const KINDS: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 };
const STATUS_ERROR = 2;

type OtlpValue =
  | { readonly stringValue: string }
  | { readonly intValue: string }
  | { readonly doubleValue: number }
  | { readonly arrayValue: { readonly values: readonly OtlpValue[] } };

function otlpValue(value: SpanAttributes[string]): OtlpValue {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  }
  return { arrayValue: { values: value.map(otlpValue) } };
}

const attributesOf = (attributes: SpanAttributes) =>
  Object.entries(attributes).map(([key, value]) => ({ key, value: otlpValue(value) }));

/** Of 64 bits, so a text in JSON. Fractions of a millisecond go no further than microseconds. */
const nanosOf = (ms: number) => `${BigInt(Math.round(ms * 1000))}000`;

/**
 * A batch of spans as the body of a POST to `/v1/traces` of a collector: OTLP 1.0 in JSON, in which ids are hex
 * and numbers of 64 bits are texts.
 * @param resource what is true of all spans: the service's name and version
 */
export function otlpBody(resource: SpanAttributes, version: string, spans: readonly SpanRecord[]): string {
  const told = spans.map((span) => ({
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentId === undefined ? {} : { parentSpanId: span.parentId }),
    name: span.name,
    kind: KINDS[span.kind],
    startTimeUnixNano: nanosOf(span.startMs),
    endTimeUnixNano: nanosOf(span.endMs),
    attributes: attributesOf(span.attributes),
    status: span.failure === undefined ? {} : { code: STATUS_ERROR, message: span.failure },
  }));
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope: { name: "imagestore", version }, spans: told }],
      },
    ],
  });
}
