import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openAudit } from "../../../../src/main/observability/audit-file.js";
import type { CallReport } from "../../../../src/main/observability/call-report.js";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { createKeptLog } from "../../../support/memory-actor.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const file = join(folder, "audit.log");
beforeEach(() => rmSync(file, { force: true }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const name = "tank/v" as DatasetName;
const change: CallReport = {
  method: "DeleteDataset",
  pool: "tank",
  code: "ok",
  ms: 1,
  requestId: "r1",
  client: { peer: "192.0.2.1" },
  caller: "0123456789ab",
  operation: { op: "DeleteDataset", name },
};
const lines = (path = file) =>
  readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Record<string, unknown>]));

function open() {
  const log = createKeptLog();
  let lost = 0;
  const opened = openAudit({ file }, log, () => lost++);
  if (!opened.ok) throw new Error(opened.failure.message);
  return { audit: opened.value, levels: () => log.lines.map(({ level }) => level), lost: () => lost };
}

describe("the audit file", () => {
  test("has a line for each change, whatever came of it, and for each call that is not allowed", () => {
    const { audit } = open();
    audit.write(change);
    audit.write({ ...change, operation: { op: "GetVolume", name }, method: "GetVolume" });
    audit.write({ ...change, code: "dataset.busy", message: "dataset is busy" });
    audit.write({ ...change, code: "access.denied", message: "not allowed", operation: undefined });
    audit.write({ ...change, code: "request.malformed", operation: undefined });
    audit.close();
    const told = {
      method: "DeleteDataset",
      pool: "tank",
      peer: "192.0.2.1",
      caller: "0123456789ab",
      requestId: "r1",
    };
    expect(lines()).toEqual([
      { time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/), ...told, datasets: ["tank/v"], code: "ok" },
      {
        time: expect.anything(),
        ...told,
        datasets: ["tank/v"],
        code: "dataset.busy",
        message: "dataset is busy",
      },
      { time: expect.anything(), ...told, datasets: [], code: "access.denied", message: "not allowed" },
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("is appended to, also after it was moved away and opened anew", () => {
    const { audit } = open();
    audit.write(change);
    renameSync(file, `${file}.1`);
    audit.write(change);
    audit.reopen();
    audit.write(change);
    audit.close();
    const again = open().audit;
    again.write(change);
    again.close();
    expect([lines(`${file}.1`).length, lines().length]).toEqual([2, 2]);
  });

  test("on a full disk loses lines and no calls, says so once, and goes on when there is room", () => {
    symlinkSync("/dev/full", file);
    const { audit, levels, lost } = open();
    audit.write(change);
    audit.write(change);
    expect([lost(), levels()]).toEqual([2, ["error"]]);
    rmSync(file);
    audit.reopen();
    audit.write(change);
    audit.write(change);
    audit.close();
    expect([lost(), levels(), lines().length]).toEqual([2, ["error", "info"], 2]);
  });

  test("that can't be opened anew stays open", () => {
    const { audit, levels } = open();
    renameSync(file, `${file}.2`);
    symlinkSync(folder, file);
    audit.reopen();
    audit.write(change);
    audit.close();
    expect([levels(), lines(`${file}.2`).length]).toEqual([["error"], 1]);
  });

  test("that can't be opened at all is a failure, and none is needed", () => {
    expect(openAudit({ file: join(folder, "none", "audit.log") }, createKeptLog(), () => {})).toMatchObject({
      failure: { message: expect.stringContaining("the audit file can't be opened: ENOENT") },
    });
    expect(openAudit({ file: undefined }, createKeptLog(), () => {}).ok).toBe(true);
  });
});
