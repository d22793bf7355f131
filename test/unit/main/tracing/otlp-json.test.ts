import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { otlpBody } from "../../../../src/main/tracing/otlp-json.js";
import type { SpanRecord } from "../../../../src/protocol/tracing/span.js";

/** What @opentelemetry/exporter-trace-otlp-http 0.223.1 sends of these two spans, written down from a real run. */
const official = readFileSync(
  new URL("../../../fixtures/otlp/exporter-trace-otlp-http-0.223.1.json", import.meta.url),
  "utf8",
);

/** Members that say no more than that there is nothing, and flags that a collector doesn't need. */
const OPTIONAL = /^(?:dropped\w+Count|events|links|flags)$/;

test("a batch is what the exporter of OpenTelemetry itself sends of the same spans", () => {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const spans: SpanRecord[] = [
    {
      ...{ traceId, spanId: "00f067aa0ba902b7", parentId: undefined, name: "POST /rpc", kind: "server" },
      ...{ startMs: 1_700_000_000_000.25, endMs: 1_700_000_002_000, failure: undefined },
      attributes: {
        "url.path": "/rpc",
        "imagestore.bytes": 5,
        "imagestore.ratio": 0.5,
        "imagestore.datasets": ["tank/a", "tank/b"],
      },
    },
    {
      ...{ traceId, spanId: "b7ad6b7169203331", parentId: "00f067aa0ba902b7", name: "zfs create" },
      ...{ kind: "client", startMs: 1_700_000_000_000.5, endMs: 1_700_000_001_000 },
      ...{ attributes: {}, failure: "dataset.busy" },
    },
  ];
  const ours = JSON.parse(otlpBody({ "service.name": "imagestore" }, "0.1.0", spans));
  const theirs = JSON.parse(official, (key, value) => {
    if (OPTIONAL.test(key)) return undefined;
    // Both forms of a number of 64 bits are allowed; the text keeps all its digits.
    if (key === "intValue") return String(value);
    // The status 0 is that of a span without one.
    return key === "status" && value.code === 0 ? {} : value;
  });
  expect(ours).toEqual(theirs);
});
