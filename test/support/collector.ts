import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A span as it came. Times in ms. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly failure: string | undefined;
}

/** A collector that reads OTLP in JSON and keeps what came. */
export interface Collector {
  readonly url: string;
  spansOf(traceId: string): ReceivedSpan[];
  /** All of them. */
  spans(): readonly ReceivedSpan[];
  /** Set it to have requests left without an answer. */
  isSilent: boolean;
  close(): Promise<void>;
}

interface OtlpValue {
  readonly stringValue?: string;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly OtlpValue[] };
}

interface OtlpSpan extends Pick<ReceivedSpan, "traceId" | "spanId" | "parentSpanId" | "name" | "kind"> {
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: OtlpValue }[];
  readonly status: { readonly code?: number; readonly message?: string };
}

interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

const plainValue = (value: OtlpValue): unknown =>
  value.stringValue ??
  value.doubleValue ??
  value.arrayValue?.values.map(plainValue) ??
  Number(value.intValue);

function received(span: OtlpSpan): ReceivedSpan {
  const { traceId, spanId, parentSpanId, name, kind, status } = span;
  return {
    ...{ traceId, spanId, parentSpanId, name, kind },
    startMs: Number(BigInt(span.startTimeUnixNano) / 1000n) / 1000,
    endMs: Number(BigInt(span.endTimeUnixNano) / 1000n) / 1000,
    attributes: Object.fromEntries(span.attributes.map(({ key, value }) => [key, plainValue(value)])),
    failure: status.code === 2 ? status.message : undefined,
  };
}

export async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += chunk;
    });
    request.on("end", () => {
      if (collector.isSilent) return;
      const body: OtlpBody = JSON.parse(text);
      const all = body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
      spans.push(...all.map(received));
      response.setHeader("content-type", "application/json").end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const collector: Collector = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    spans: () => spans,
    spansOf: (traceId) => spans.filter((span) => span.traceId === traceId),
    isSilent: false,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return collector;
}
