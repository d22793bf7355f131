import { Registry } from "prom-client";
import { expect, test } from "vitest";
import {
  addTransferMetrics,
  type TransferSources,
} from "../../../../src/main/observability/transfer-metrics.js";

const STILL_MS = 11_000;

function metricsOf(sources: Partial<TransferSources>) {
  const registry = new Registry();
  const fetched = addTransferMetrics(registry, {
    pools: ["tank", "fast"],
    downloads: () => [],
    fetches: () => [],
    streams: { count: 0, receivedBytes: 0 },
    ...sources,
  });
  const values = async (name: string) =>
    (await registry.metrics())
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) && !line.endsWith(" 0"));
  return { fetched, values };
}

test("downloads are told by path and phase, and those that stand still by what they wait for", async () => {
  const now = Date.now();
  const moving = { startedAt: now - STILL_MS, lastByteAt: now, isBlocked: false };
  const still = { startedAt: now - 2 * STILL_MS, lastByteAt: now - STILL_MS };
  const { values } = metricsOf({
    downloads: () => [
      { ...moving, path: "ring", phase: "streaming" },
      { ...still, path: "ring", phase: "streaming", isBlocked: true },
      { ...still, path: "ring", phase: "streaming", isBlocked: false },
      { ...still, path: "ring", phase: "waiting", isBlocked: false, lastByteAt: 0 },
      { ...still, path: "bulk", phase: "flushing", isBlocked: false },
      { ...still, path: "bulk", phase: "ended", isBlocked: false },
    ],
  });
  expect(await values("imagestore_downloads_by_phase")).toEqual([
    'imagestore_downloads_by_phase{path="ring",phase="waiting"} 1',
    'imagestore_downloads_by_phase{path="ring",phase="streaming"} 3',
    'imagestore_downloads_by_phase{path="bulk",phase="flushing"} 1',
    'imagestore_downloads_by_phase{path="bulk",phase="releasing"} 1',
  ]);
  expect(await values("imagestore_downloads_stalled")).toEqual([
    'imagestore_downloads_stalled{path="ring",waits_for="send"} 2',
    'imagestore_downloads_stalled{path="ring",waits_for="client"} 1',
    'imagestore_downloads_stalled{path="bulk",waits_for="client"} 1',
    'imagestore_downloads_stalled{path="bulk",waits_for="hold"} 1',
  ]);
});

test("bytes of fetches only grow: those of one that ends are counted on, failed or not", async () => {
  const now = Date.now();
  let running = [
    {
      ...{ owner: "tank", receivedBytes: 500, repeats: 0, repeatedBytes: 0 },
      ...{ startedAt: now - STILL_MS, lastByteAt: 0 },
    },
  ];
  const { fetched, values } = metricsOf({ fetches: () => running });
  const bytes = () => values("imagestore_fetched_bytes_total");
  expect(await bytes()).toEqual(['imagestore_fetched_bytes_total{pool="tank"} 500']);
  expect(await values("imagestore_fetches")).toEqual(['imagestore_fetches{pool="tank"} 1']);
  expect(await values("imagestore_fetches_stalled")).toEqual(['imagestore_fetches_stalled{pool="tank"} 1']);
  const [age = ""] = await values("imagestore_fetch_oldest_seconds");
  expect(Number(age.split(" ")[1])).toBeGreaterThanOrEqual(STILL_MS / 1000);
  running = [];
  fetched({ owner: "tank", code: "image.unreachable", receivedBytes: 600, repeats: 2, repeatedBytes: 7 });
  fetched({ owner: "tank", code: "ok", receivedBytes: 50, repeats: 0, repeatedBytes: 0 });
  expect(await bytes()).toEqual(['imagestore_fetched_bytes_total{pool="tank"} 657']);
  expect(await values("imagestore_fetch_repeats_total")).toEqual([
    'imagestore_fetch_repeats_total{pool="tank"} 2',
  ]);
  expect(await values("imagestore_fetch_repeated_bytes_total")).toEqual([
    'imagestore_fetch_repeated_bytes_total{pool="tank"} 7',
  ]);
  expect(await values("imagestore_fetches_ended_total")).toEqual([
    'imagestore_fetches_ended_total{pool="tank",code="image.unreachable"} 1',
    'imagestore_fetches_ended_total{pool="tank",code="ok"} 1',
  ]);
  expect(await values("imagestore_fetch_oldest_seconds")).toEqual([]);
});
