import { describe, expect, test } from "vitest";
import { readSendRate, readSendTerms } from "../../../../../src/protocol/json-rpc/methods/send-query.js";
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
    ["flags=raw,compressed,raw", { flags: ["compressed", "raw"] }],
    ["flags=largeBlock,embedData", { flags: ["largeBlock", "embedData"] }],
    ["resume=1-bc74174a9-b8-789c63", { resume: "1-bc74174a9-b8-789c63" }],
    ["resume=1-bc74174a9-b8-789c63&from=@r", { from: "fast/a/v@r", resume: "1-bc74174a9-b8-789c63" }],
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
    ["flags=", "request.invalid", "flags must be a list, with commas, of compressed"],
    ["flags=compressed,-R", "request.invalid", "flags must be"],
    ["flags=constructor", "request.invalid", "flags must be"],
    ["resume=", "request.invalid", "resume must be a receive_resume_token"],
    ["resume=2-a-b-cc", "request.invalid", "resume must be"],
    ["resume=1-a-b-c%0Ad", "request.invalid", "resume must be"],
    [`resume=1-a-b-${"c".repeat(4096)}`, "request.invalid", "resume must be"],
    ["resume=1-a-b-cc&flags=raw", "request.invalid", "flags must be left out with resume"],
    ["resume=1-a-b-cc&from=@r&intermediates=1", "request.invalid", "intermediates must be left out"],
  ])("is refused where it can't be: %s", (query, code, text) => {
    const refused = read(query);
    expect(refused).toMatchObject({ ok: false, failure: { code } });
    expect(refused.ok ? "" : refused.failure.message).toContain(text);
  });
});

describe("the rate that a download asks for", () => {
  const rate = (query: string) => readSendRate((name) => new URLSearchParams(query).get(name));

  test.each([
    ["id=v", undefined],
    ["rate=65536", 65_536],
    ["rate=1099511627776", 2 ** 40],
  ])("is read: %s", (query, value) => {
    expect(rate(query)).toEqual({ ok: true, value });
  });

  test.each(["", "0", "65535", "-1", "1e9", "1.5", "1099511627777", "99999999999999", "10M"])(
    "is refused: %s",
    (text) => {
      const message = "rate must be bytes a second, 65536 or more";
      expect(rate(`rate=${text}`)).toMatchObject({ failure: { code: "request.invalid", message } });
    },
  );
});
