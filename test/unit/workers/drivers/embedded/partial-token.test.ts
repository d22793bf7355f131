import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readSendTerms } from "../../../../../src/protocol/json-rpc/methods/send-query.js";
import type { PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { endOwner, findOwner, ownFolder } from "../../../../../src/workers/drivers/embedded/folder-owner.js";
import {
  type PartialState,
  readPartialState,
  writePartialState,
} from "../../../../../src/workers/drivers/embedded/partial-state.js";
import {
  isOfEmbedded,
  type PartialToken,
  readPartialToken,
  writePartialToken,
} from "../../../../../src/workers/drivers/embedded/partial-token.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const token: PartialToken = {
  toName: "tank/guests/g1/disk-0@s",
  toGuid: "18446744073709551615",
  fromGuid: "0",
  offset: 2 ** 45,
  streamBytes: 12_345,
};
const state: PartialState = { ...token, target: "tank/copy", existing: { id: 3, file: "f" } };

test("a token says what it was made of, and fits into a download's query", () => {
  const text = writePartialToken(token);
  expect(readPartialToken(text)).toEqual(token);
  expect(isOfEmbedded(text)).toBe(true);
  expect(isOfEmbedded("1-c-0-1")).toBe(false);
  const [pool, name] = ["tank" as PoolName, "tank/guests/g1/disk-0@s" as SnapshotName];
  const query = new URLSearchParams({ resume: text });
  expect(readSendTerms([pool], pool, name, (field) => query.get(field))).toEqual({
    ok: true,
    value: { resume: text },
  });
});

test("a token with any character changed, of another version, or with what can't be is none", () => {
  const text = writePartialToken(token);
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === "0" ? "1" : "0";
    expect(readPartialToken(text.slice(0, at) + other + text.slice(at + 1))).toBeUndefined();
  }
  expect(readPartialToken(`${text}-00`)).toBeUndefined();
  expect(readPartialToken("")).toBeUndefined();
  for (const wrong of [
    { offset: -1 },
    { offset: 1.5 },
    { streamBytes: 2 ** 60 },
    { toGuid: "x" },
    { fromGuid: "1".repeat(21) },
    { toName: "" },
    { toName: "n".repeat(256) },
  ]) {
    expect(readPartialToken(writePartialToken({ ...token, ...wrong }))).toBeUndefined();
  }
});

test("a state is read as it was written, and not where any of its bytes is damaged", async () => {
  expect(await readPartialState(folder)).toBe("none");
  await writePartialState(folder, { ...state, offset: 1 });
  await writePartialState(folder, state);
  expect(await readPartialState(folder)).toEqual(state);
  const path = join(folder, "partial.json");
  const text = readFileSync(path);
  for (let at = 0; at < text.length; at++) {
    const copy = Buffer.from(text);
    copy[at] = (copy[at] ?? 0) ^ 1;
    writeFileSync(path, copy);
    expect(await readPartialState(folder)).toBe("damaged");
  }
  for (const rest of [0, 1, text.length - 1]) {
    writeFileSync(path, text.subarray(0, rest));
    expect(await readPartialState(folder)).toBe("damaged");
  }
});

test("the owner of a folder is a process that runs and is the one that has noted itself", async () => {
  const owner = join(folder, "receiver");
  expect(await findOwner(folder)).toBeUndefined();
  await ownFolder(folder);
  expect(readFileSync(owner, "latin1")).toMatch(new RegExp(`^${process.pid} \\d+$`));
  // The one that asks does not stand in its own way.
  expect(await findOwner(folder)).toBeUndefined();
  const parent = readFileSync(`/proc/${process.ppid}/stat`, "latin1");
  const startedAt = parent.slice(parent.lastIndexOf(")") + 2).split(" ")[19];
  writeFileSync(owner, `${process.ppid} ${startedAt}`);
  expect(await findOwner(folder)).toBe(process.ppid);
  // Its pid is another's by now.
  writeFileSync(owner, `${process.ppid} 1${startedAt}`);
  expect(await findOwner(folder)).toBeUndefined();
  for (const text of ["", "x", "0 0", "-1 5"]) {
    writeFileSync(owner, text);
    expect(await endOwner(folder)).toBe(true);
  }
});
