import { describe, expect, test } from "vitest";
import {
  asAsked,
  asksForRedirect,
  bulkLocation,
  headersOf,
  planAllowedDownload,
} from "../../../../src/main/downloads/download-requests.js";
import type { PoolName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { downloadRequest } from "../../../support/download-request.js";

const request = (query: string, host: string) => ({
  ...downloadRequest,
  query,
  header: (name: string) => (name === "host" ? host : ""),
});

describe("a client that asks to be redirected", () => {
  test.each([
    ["id=v@s&redirect=1", true],
    ["redirect=1", true],
    ["id=v@s", false],
    ["id=v@s&redirect=0", false],
    ["id=redirect", false],
    ["id=v@s&redirected=1", false],
  ])("says so in its query: %s", (query, asks) => {
    expect(asksForRedirect(request(query, ""))).toBe(asks);
  });

  test.each([
    ["node-7", "http://node-7:8081"],
    ["node-7:19999", "http://node-7:8081"],
    ["10.0.0.7:19999", "http://10.0.0.7:8081"],
    ["[fe80::1]:19999", "http://[fe80::1]:8081"],
    ["[fe80::1]", "http://[fe80::1]:8081"],
  ])("is sent to the host that it has used: %s", (host, origin) => {
    expect(bulkLocation(request("id=a/v@s&redirect=1&pool=fast", host), 8081)).toBe(
      `${origin}/snapshots/download?id=a%2Fv%40s&pool=fast`,
    );
    expect(bulkLocation(request("redirect=1", host), 8081)).toBe(`${origin}/snapshots/download`);
  });

  test("is not sent anywhere if it has not said which host it has used", () => {
    expect(bulkLocation(request("id=v@s&redirect=1", ""), 8081)).toBeUndefined();
  });
});

describe("a client that asks for an estimate", () => {
  const operation = { op: "OpenSend", name: "tank/v@s" as SnapshotName } as const;

  test.each([
    ["id=v@s&estimate=1", true],
    ["id=v@s", false],
    ["id=v@s&estimate=0", false],
    ["id=estimate", false],
  ])("says so in its query: %s", (query, wantsEstimate) => {
    expect(asAsked(operation, request(query, ""), "ring")).toEqual({
      ...operation,
      isDirect: false,
      wantsEstimate,
    });
  });

  test("takes its wish to the other port, and gets a header where the pool tells", () => {
    expect(bulkLocation(request("id=v&redirect=1&estimate=1", "a"), 1)).toBe(
      "http://a:1/snapshots/download?id=v&estimate=1",
    );
    const ticket = { name: operation.name, tag: "t", command: [] };
    expect(headersOf("d-1", ticket)).toEqual([
      ["Content-Type", "application/octet-stream"],
      ["X-Download-Id", "d-1"],
    ]);
    expect(headersOf("d-1", { ...ticket, estimatedBytes: 5 })).toContainEqual(["X-Estimated-Bytes", "5"]);
  });
});

describe("a download with terms", () => {
  const POOLS = ["tank"] as PoolName[];
  const plan = (query: string, names?: readonly string[]) =>
    planAllowedDownload(request(query, ""), POOLS, { role: "read", pools: undefined, names });

  test("is planned with them, its rate, and a wish that only the same one has", () => {
    const planned = plan("id=v@s&from=@r&rate=65536&estimate=1");
    expect(planned).toMatchObject({
      ok: true,
      value: { rate: 65_536, operation: { op: "OpenSend", name: "tank/v@s", terms: { from: "tank/v@r" } } },
    });
    const wishes = [
      "id=v@s",
      "id=v@s&rate=65536",
      "id=v@s&from=@r",
      "id=v@s&from=%23r",
      "id=v@s&from=@r&flags=raw",
      "id=v@s&from=@r&intermediates=1",
      "id=v@s&resume=1-a-b-cc",
    ].map((query) => {
      const each = plan(query);
      const again = plan(`${query}&redirect=1`);
      expect(each).toEqual(again);
      return each.ok && each.value.wish;
    });
    expect(new Set(wishes).size).toBe(wishes.length);
  });

  test("is for those who may read both ends", () => {
    expect(plan("id=v@s&from=@r", ["v"]).ok).toBe(true);
    expect(plan("id=v@s&from=%23r", ["v"]).ok).toBe(true);
    for (const query of ["id=v@s&from=@r", "id=v@s&from=%23r&rate=1"]) {
      expect(plan(query, ["w"])).toMatchObject({ ok: false, failure: { code: "access.denied" } });
    }
    expect(plan("id=v@s&rate=1")).toMatchObject({ ok: false, failure: { code: "request.invalid" } });
  });
});
