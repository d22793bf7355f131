import { describe, expect, test } from "vitest";
import { ratesBetween, readMetrics } from "../../../ui/src/api/metrics-text.ts";
import { guestOf, isWithin, kindOf, splitName } from "../../../ui/src/model/names.ts";
import { bytesText, durationText, mibText, parseSize } from "../../../ui/src/model/sizes.ts";

describe("sizes of the page", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [10 * 1024 ** 3, "10 GiB"],
    [123_456_789_012, "115 GiB"],
  ])("%d bytes are %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));

  test("MiB, milliseconds and what is typed", () => {
    expect([mibText(8), mibText(20_480)]).toEqual(["8 MiB", "20 GiB"]);
    expect([0.25, 250, 4_000, 120_000, 5_400_000].map(durationText)).toEqual([
      ...["0.3 ms", "250 ms", "4 s", "2 min", "1.5 h"],
    ]);
    expect(["512M", "10G", "1.5 g", "2TiB", "64", "0", "-1", "x", "1e3"].map(parseSize)).toEqual([
      ...[512, 10_240, 1_536, 2_097_152, 64],
      ...[undefined, undefined, undefined, undefined],
    ]);
  });
});

describe("names in the page", () => {
  test("say what a volume is for", () => {
    expect(splitName("tank/guests/g1/disk-0")).toEqual({ pool: "tank", inPool: "guests/g1/disk-0" });
    expect(splitName("tank@s")).toEqual({ pool: "tank", inPool: "@s" });
    expect(["tank/guests/g1/disk-0", "tank/images/i", "tank/v", "tank/guests"].map(kindOf)).toEqual([
      ...["guest", "image", "other", "other"],
    ]);
    expect([guestOf("tank/guests/g1/disk-0"), guestOf("tank/v")]).toEqual(["g1", undefined]);
    expect(isWithin("tank/v1", "tank/v")).toBe(false);
    expect(isWithin("tank/v@s", "tank/v")).toBe(true);
  });
});

describe("two looks at /metrics", () => {
  const at = (calls: number, slow: number, bytes: number) =>
    [
      "# HELP imagestore_calls_total Calls.",
      `imagestore_calls_total{method="GetPool",pool="tank",code="ok"} ${calls}`,
      `imagestore_calls_total{method="GetPool",pool="tank",code="dataset.not_found"} ${slow}`,
      `imagestore_call_seconds_bucket{le="0.001",method="GetPool"} ${calls}`,
      `imagestore_call_seconds_bucket{le="0.1",method="GetPool"} ${calls + slow}`,
      `imagestore_call_seconds_bucket{le="+Inf",method="GetPool"} ${calls + slow}`,
      `imagestore_call_seconds_sum{method="GetPool"} ${calls * 0.0005 + slow * 0.05}`,
      `imagestore_streamed_bytes_total ${bytes}`,
    ].join("\n");

  test("tell what happened between them", () => {
    const rates = ratesBetween(readMetrics(at(10, 0, 0), 0), readMetrics(at(100, 10, 5_000), 5_000));
    expect(rates?.callsPerSecond).toBeCloseTo(20);
    expect(rates?.failuresPerSecond).toBeCloseTo(2);
    expect(rates?.bytesPerSecond).toBeCloseTo(1_000);
    expect(rates?.meanMs).toBeCloseTo(5.45);
    expect(rates?.p95Ms).toBeGreaterThan(1);
    expect(rates?.p95Ms).toBeLessThan(100);
  });

  test("tell nothing where the daemon was started anew", () => {
    expect(ratesBetween(readMetrics(at(10, 0, 9), 0), readMetrics(at(1, 0, 0), 5_000))).toBeUndefined();
    const idle = ratesBetween(readMetrics(at(1, 0, 0), 0), readMetrics(at(1, 0, 0), 5_000));
    expect([idle?.callsPerSecond, idle?.p95Ms]).toEqual([0, undefined]);
  });
});
