import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { ANYONE, type Caller } from "../../../../src/main/access/caller.js";
import { MOST_LINE_BYTES } from "../../../../src/main/observability/backward-lines.js";
import { auditHandlers } from "../../../../src/main/observability/list-audit.js";
import type { Client } from "../../../../src/main/pools/actor-handle.js";
import type { AuditFilter, AuditPage } from "../../../../src/protocol/storage/audit-record.js";
import type { Outcome } from "../../../../src/protocol/storage/failures.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const file = join(folder, "audit.log");
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ALL: AuditFilter = {
  ...{ sinceMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY, caller: "", method: "" },
  ...{ outcome: "", dataset: "", pool: "" },
};
const client: Client = { requestId: "r", peer: "192.0.2.1", onDisconnect: () => {} };

interface Asked extends Partial<AuditFilter> {
  readonly limit?: number;
  readonly after?: string;
}

async function ask(asked: Asked = {}, caller: Caller = ANYONE, of = client): Promise<Outcome<AuditPage>> {
  const { limit = 100, after = "", ...filter } = asked;
  const operation = { op: "ListAudit", filter: { ...ALL, ...filter }, limit, after } as const;
  return auditHandlers(file).ListAudit(operation, { caller, client: of });
}

async function page(asked?: Asked): Promise<AuditPage> {
  const answer = await ask(asked);
  if (!answer.ok) throw new Error(answer.failure.message);
  return answer.value;
}

/** The request ids of a page's lines, and the rest of it. */
const idsOf = ({ lines }: AuditPage) => lines.map(({ requestId }) => requestId);

/** Line `n`, a second later than the one before. */
const line = (n: number, more: object = {}) =>
  `${JSON.stringify({
    ...{ time: new Date(n * 1_000).toISOString(), caller: "c1", peer: "192.0.2.1", method: "DeleteDataset" },
    ...{ pool: "tank", datasets: [`tank/guests/g${n}/disk-0`], code: "ok", requestId: `r${n}`, ...more },
  })}\n`;
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => line(from + index)).join("");

async function allPages(asked: Asked): Promise<{ ids: string[]; skipped: number; pages: number }> {
  const ids: string[] = [];
  let skipped = 0;
  let pages = 0;
  for (let after = ""; ; pages++) {
    const { next, ...rest } = await page({ ...asked, after });
    ids.push(...idsOf({ next, ...rest }));
    skipped += rest.skipped;
    if (next === null) return { ids, skipped, pages: pages + 1 };
    after = next;
  }
}

describe("the audit file is listed", () => {
  test("newest first, as its lines are", async () => {
    writeFileSync(file, lines(0, 2) + line(2, { caller: undefined, code: "dataset.busy", message: "busy" }));
    expect(await page()).toEqual({
      lines: [2, 1, 0].map((n) =>
        JSON.parse(n === 2 ? line(2, { caller: undefined, code: "dataset.busy", message: "busy" }) : line(n)),
      ),
      skipped: 0,
      next: null,
    });
  });

  test("in pages of any length, each line once", async () => {
    writeFileSync(file, lines(0, 1_000));
    const expected = Array.from({ length: 1_000 }, (_, n) => `r${999 - n}`);
    for (const limit of [1, 7, 999, 1_000]) {
      const all = await allPages({ limit });
      expect({ limit, ids: all.ids, skipped: all.skipped }).toEqual({ limit, ids: expected, skipped: 0 });
    }
  });

  test("as it is, without a file, with an empty one and with lines of nothing", async () => {
    const none = { lines: [], skipped: 0, next: null };
    expect(await page()).toEqual(none);
    writeFileSync(file, "");
    expect(await page()).toEqual(none);
    writeFileSync(file, "\n\n\n");
    expect(await page()).toEqual(none);
  });

  test("without what others have written and what is torn, which is counted", async () => {
    const torn = line(9).slice(0, 50);
    const others = [
      "plain text",
      "[]",
      "null",
      "{}",
      '{"time":"yesterday"}',
      line(5, { datasets: [1] }).trim(),
      line(5, { caller: 7 }).trim(),
      line(5, { message: null }).trim(),
      line(5, { requestId: undefined }).trim(),
      line(5, { time: "no time" }).trim(),
      "[".repeat(100_000),
      torn,
    ];
    writeFileSync(file, line(0) + others.map((other) => `${other}\n`).join("") + line(1) + torn);
    expect(await page()).toMatchObject({
      lines: [{ requestId: "r1" }, { requestId: "r0" }],
      skipped: others.length + 1,
    });
    // The daemon ends a torn line with the next one that it can write.
    appendFileSync(file, `\n${line(2)}`);
    expect(idsOf(await page())).toEqual(["r2", "r1", "r0"]);
  });

  test("whatever bytes are in it, with nothing lost and nothing twice", async () => {
    const parts = fc.oneof(
      fc.nat(50).map((n) => line(n)),
      fc.string({ maxLength: 200 }).map((text) => `${text.replaceAll("{", "(")}\n`),
      fc.constant("\n"),
      fc.integer({ min: 60_000, max: 70_000 }).map((length) => `${"x".repeat(length)}\n`),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(parts, { maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (all, limit) => {
          writeFileSync(file, all.join(""));
          const ours = all.filter((part) => part.startsWith("{")).map((part) => JSON.parse(part).requestId);
          expect((await allPages({ limit })).ids).toEqual(ours.reverse());
        },
      ),
      { numRuns: 100 },
    );
  });

  test("past a line that is too long, of which little is held", async () => {
    for (const length of [MOST_LINE_BYTES - 1, MOST_LINE_BYTES + 70_000, 3 * MOST_LINE_BYTES + 1]) {
      writeFileSync(file, `${line(0)}${"x".repeat(length)}\n${line(1)}`);
      expect({ length, ...(await allPages({})) }).toEqual({
        length,
        ids: ["r1", "r0"],
        skipped: 1,
        pages: 1,
      });
      writeFileSync(file, `${"x".repeat(length)}\n${line(1)}${"y".repeat(length)}`);
      expect({ length, ...(await allPages({})) }).toEqual({ length, ids: ["r1"], skipped: 2, pages: 1 });
    }
  });
});

describe("a filter of the audit file", () => {
  beforeEach(() => {
    writeFileSync(
      file,
      [
        line(0, { method: "CreateVolume" }),
        line(1, { caller: "c2", code: "dataset.busy", message: "busy" }),
        line(2, { pool: "dozer", datasets: ["dozer/guests/g1"] }),
        line(3, { caller: undefined, pool: "", datasets: [], code: "access.denied" }),
        line(4, { datasets: ["tank/guests/g1/disk-0@s", "tank/guests/g10"] }),
        line(5, { method: "RequestImage", datasets: ["golden"] }),
      ].join(""),
    );
  });

  test.each<[Asked, number[]]>([
    [{ sinceMs: 4_000 }, [5, 4]],
    [{ untilMs: 1_000 }, [0]],
    [{ sinceMs: 1_000, untilMs: 3_000 }, [2, 1]],
    [{ caller: "c2" }, [1]],
    [{ method: "CreateVolume" }, [0]],
    [{ outcome: "ok" }, [5, 4, 2, 0]],
    [{ outcome: "failed" }, [3, 1]],
    [{ outcome: "access.denied" }, [3]],
    [{ pool: "dozer" }, [2]],
    [{ dataset: "guests/g1" }, [4, 2, 1]],
    [{ dataset: "tank/guests/g1" }, [4, 1]],
    [{ dataset: "tank/guests/g1/disk-0@s" }, [4]],
    [{ dataset: "guests/g10" }, [4]],
    [{ dataset: "tank" }, [4, 1, 0]],
    [{ dataset: "golden" }, [5]],
    [{ dataset: "guests/g" }, []],
    [{ caller: "c1", method: "DeleteDataset", pool: "tank", outcome: "ok" }, [4]],
  ])("%j gives its lines", async (asked, expected) => {
    expect(idsOf(await page(asked))).toEqual(expected.map((n) => `r${n}`));
    expect((await allPages({ ...asked, limit: 1 })).ids).toEqual(expected.map((n) => `r${n}`));
  });
});

describe("a page goes on", () => {
  const first = () => page({ limit: 3 });
  const CHANGED = {
    failure: { code: "request.invalid", message: expect.stringContaining("begin without after") },
  };

  test("behind lines that came since", async () => {
    writeFileSync(file, lines(0, 10));
    const { next } = await first();
    appendFileSync(file, lines(10, 20));
    expect(idsOf(await page({ after: next ?? "" }))).toEqual(["r6", "r5", "r4", "r3", "r2", "r1", "r0"]);
  });

  test("in the file that was moved away since, however often", async () => {
    writeFileSync(file, lines(0, 10));
    const { next } = await first();
    renameSync(file, `${file}.1`);
    expect(idsOf(await page({ after: next ?? "", limit: 1 }))).toEqual(["r6"]);
    writeFileSync(file, lines(10, 20));
    renameSync(`${file}.1`, `${file}.2`);
    renameSync(file, `${file}.1`);
    writeFileSync(file, lines(20, 30));
    expect(idsOf(await page({ after: next ?? "", limit: 1 }))).toEqual(["r6"]);
  });

  test("not in one that was compressed, removed, truncated or written anew: it is refused", async () => {
    const change: readonly (() => void)[] = [
      () => rmSync(file),
      () => {
        writeFileSync(`${file}.1.gz`, gzipSync(lines(0, 10)));
        rmSync(file);
        writeFileSync(file, lines(10, 20));
      },
      () => truncateSync(file),
      () => {
        truncateSync(file);
        appendFileSync(file, lines(100, 120));
      },
    ];
    for (const each of change) {
      writeFileSync(file, lines(0, 10));
      const { next } = await first();
      each();
      expect(await ask({ after: next ?? "" })).toMatchObject(CHANGED);
    }
  });

  test("nowhere for a text that no page has given", async () => {
    writeFileSync(file, lines(0, 10));
    for (const after of [
      "r1",
      "1.2.3",
      "../../etc/passwd",
      `1.${"9".repeat(15)}.${"0".repeat(16)}`,
      "0x1.1.aaaa",
    ]) {
      const answer = await ask({ after });
      expect(answer).toMatchObject({ ok: false, failure: { code: "request.invalid" } });
    }
  });
});

describe("a file of any size is read in pieces", () => {
  test("an end of it, however long it is, without the rest", async () => {
    const sparse = openSync(file, "w");
    ftruncateSync(sparse, 2 ** 30);
    closeSync(sparse);
    appendFileSync(file, `\n${lines(0, 100)}`);
    const begun = performance.now();
    expect(idsOf(await page({ limit: 50 }))).toHaveLength(50);
    expect(performance.now() - begun).toBeLessThan(1_000);
  });

  test("in calls of 16 MiB each, between which and in which others have their turn", async () => {
    const sparse = openSync(file, "w");
    ftruncateSync(sparse, 50 * 2 ** 20);
    closeSync(sparse);
    appendFileSync(file, `\n${lines(0, 3)}`);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const { next, lines: found } = await page({});
    clearInterval(timer);
    expect([found.length, typeof next]).toEqual([3, "string"]);
    expect(turns).toBeGreaterThan(0);
    expect(await allPages({})).toMatchObject({ ids: ["r2", "r1", "r0"], pages: 4 });
  });

  test("and not on for a client that has gone", async () => {
    const sparse = openSync(file, "w");
    ftruncateSync(sparse, 10 * 2 ** 20);
    closeSync(sparse);
    const gone: Client = { ...client, onDisconnect: (listener) => listener() };
    expect(await ask({}, ANYONE, gone)).toMatchObject({ value: { lines: [], next: expect.any(String) } });
    expect(await ask()).toMatchObject({ value: { lines: [], next: null } });
  });
});

describe("the audit file is not listed", () => {
  test("to callers who may see a part of the node only", async () => {
    writeFileSync(file, lines(0, 10));
    for (const grant of [
      { role: "admin", pools: ["tank"] },
      { role: "admin", names: ["guests/*"] },
    ] as const) {
      expect(await ask({}, { id: "t", grant })).toMatchObject({ failure: { code: "access.denied" } });
    }
  });

  test("where none is kept, or it is no regular file, or it can't be read", async () => {
    const operation = { op: "ListAudit", filter: ALL, limit: 1, after: "" } as const;
    expect(await auditHandlers(undefined).ListAudit(operation, { caller: ANYONE, client })).toMatchObject({
      failure: { code: "request.invalid", message: expect.stringContaining("not configured") },
    });
    mkdirSync(file);
    expect(await ask()).toMatchObject({ failure: { code: "request.invalid" } });
    rmSync(file, { recursive: true });
    writeFileSync(join(folder, "no-folder"), "");
    const below = auditHandlers(join(folder, "no-folder", "audit.log"));
    expect(await below.ListAudit(operation, { caller: ANYONE, client })).toMatchObject({
      failure: { code: "internal", message: "the audit file can't be read" },
    });
  });
});
