import { describe, expect, test } from "vitest";
import { readSendTerms } from "../../../../../src/protocol/json-rpc/methods/send-query.js";
import type { PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";

const POOLS = ["tank", "fast"] as PoolName[];
const NAME = "fast/a/v@s" as SnapshotName;

const read = (query: string) => {
  const fields = new URLSearchParams(query);
  return readSendTerms(POOLS, "fast" as PoolName, NAME, (name) => fields.get(name));
};

describe("what a download's query asks for of the stream", () => {
  test("is nothing where it has none of the members", () => {
    expect(read("id=v@s&pool=fast&estimate=1&redirect=1&other=1")).toEqual({ ok: true, value: undefined });
  });

  test.each([
    ["from=a/v@r", { from: "fast/a/v@r" }],
    ["from=fast/a/v@r", { from: "fast/a/v@r" }],
    ["from=@r", { from: "fast/a/v@r" }],
    ["from=a/v%23b", { from: "fast/a/v#b" }],
    ["from=%23b&intermediates=0", { from: "fast/a/v#b" }],
    ["from=/a//v@r", { from: "fast/a/v@r" }],
    ["from=@r&intermediates=1", { from: "fast/a/v@r", intermediates: true }],
  ])("is read: %s", (query, value) => {
    expect(read(query)).toEqual({ ok: true, value });
  });

  test.each([
    ["from=", "request.invalid", "from must be a snapshot or a bookmark of fast/a/v"],
    ["from=r", "request.invalid", "from must be a snapshot or a bookmark of fast/a/v"],
    ["from=a/w@r", "request.invalid", "from must be a snapshot or a bookmark of fast/a/v"],
    ["from=tank/a/v@r", "name.invalid", "not a valid dataset"],
    ["from=a/v@../r", "name.invalid", "not a valid dataset"],
    ["from=a/v@r@t", "name.invalid", "not a valid dataset"],
    ["from=%23b/c", "name.invalid", "from: invalid bookmark dest"],
    ["from=%23", "name.invalid", "from: invalid bookmark dest"],
    ["from=-i", "request.invalid", "from must be"],
    ["from=@s", "request.invalid", "from must be older than fast/a/v@s"],
    ["intermediates=1", "request.invalid", "from must be a snapshot where intermediates is 1"],
    ["intermediates=yes&from=@r", "request.invalid", "intermediates must be 1 or 0"],
    ["intermediates=1&from=%23b", "request.invalid", "and no bookmark"],
  ])("is refused where it can't be: %s", (query, code, text) => {
    const refused = read(query);
    expect(refused).toMatchObject({ ok: false, failure: { code } });
    expect(refused.ok ? "" : refused.failure.message).toContain(text);
  });
});
