import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import {
  changeTokens,
  hashOf,
  isExpired,
  makeToken,
  readTokens,
  type TokenRecord,
} from "../../../../src/main/access/token-file.js";
import { openTokens } from "../../../../src/main/access/tokens.js";
import { fail, succeed } from "../../../../src/protocol/storage/failures.js";
import { createKeptLog } from "../../../support/memory-actor.js";
import { until } from "../../../support/until.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const file = join(folder, "tokens.json");
beforeEach(() => rmSync(file, { force: true }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Puts a new token into the file. */
function add(granted: Parameters<typeof makeToken>[0] = { role: "read" }) {
  const made = makeToken(granted);
  const changed = changeTokens(file, (tokens) => succeed([...tokens, made.record]));
  expect(changed).toEqual({ ok: true, value: null });
  return made;
}

const write = (text: string, mode = 0o600) => {
  writeFileSync(file, text);
  chmodSync(file, mode);
};

describe("a file of tokens", () => {
  test("has their hashes, is its owner's alone, and reads as it was written", () => {
    const { token, record } = add({ role: "operate", pools: ["tank"], names: ["guests/a-*"], label: "ci" });
    expect(token).toMatch(/^ist_[\w-]{43}$/);
    expect(readFileSync(file, "utf8")).not.toContain(token);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(record.hash).toBe(hashOf(token));
    const second = add();
    expect(second.token).not.toBe(token);
    expect(readTokens(file)).toEqual({ ok: true, value: [record, second.record] });
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  test("that is not there has none", () => expect(readTokens(file)).toEqual({ ok: true, value: [] }));

  test.each([
    ["", "no list of tokens"],
    ["[]", "no list of tokens"],
    ['{"version":2,"tokens":[]}', "version: "],
    ['{"version":1,"tokens":[{"id":"a"}]}', "tokens.0."],
    ['{"version":1,"tokens":[],"more":1}', "no list of tokens"],
  ])("that holds %s is refused", (text, why) => {
    write(text);
    expect(readTokens(file)).toMatchObject({ failure: { message: expect.stringContaining(why) } });
    expect(changeTokens(file, succeed)).toMatchObject({ ok: false });
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test.each([0o640, 0o604, 0o620, 0o666])("that others may use (mode %o) is refused", (mode) => {
    write('{"version":1,"tokens":[]}', mode);
    expect(readTokens(file)).toMatchObject({ failure: { message: expect.stringContaining("chmod 600") } });
  });

  test("stays as it is if a change fails, or would damage it", () => {
    const { record } = add();
    const text = readFileSync(file, "utf8");
    expect(changeTokens(file, () => fail("internal", "no such token"))).toMatchObject({
      failure: { message: "no such token" },
    });
    const bad: TokenRecord = { ...record, pools: ["a/b"] };
    expect(changeTokens(file, (tokens) => succeed([...tokens, bad]))).toMatchObject({
      failure: { message: "tokens.1.pools.0: must be the name of a pool" },
    });
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  test("is changed by one command at a time", () => {
    writeFileSync(`${file}.new`, "");
    try {
      expect(changeTokens(file, succeed)).toMatchObject({
        failure: { message: expect.stringContaining("another command is changing the tokens") },
      });
      expect(existsSync(`${file}.new`)).toBe(true);
    } finally {
      rmSync(`${file}.new`);
    }
  });
});

test("a token expires at its moment", () => {
  const { record } = makeToken({ role: "read", expires: "2030-01-01T00:00:00.000Z" });
  expect(isExpired(record, Date.parse("2029-12-31T23:59:59.999Z"))).toBe(false);
  expect(isExpired(record, Date.parse("2030-01-01T00:00:00.000Z"))).toBe(true);
});

describe("the tokens of a running daemon", () => {
  test("follow their file, and stay as they were when it is damaged", async () => {
    const { token, record } = add({ role: "read", expires: "2030-01-01T00:00:00.000Z" });
    const log = createKeptLog();
    const opened = openTokens(file, log);
    if (!opened.ok) throw new Error(opened.failure.message);
    const tokens = opened.value;
    try {
      const caller = { id: record.id, grant: { role: "read", pools: undefined, names: undefined } };
      expect(tokens.find(token)).toMatchObject({ caller });
      expect(tokens.find(`${token}x`)).toEqual({ problem: "unknown" });
      const second = add();
      await until("the second is known", () => "caller" in tokens.find(second.token), 10_000);
      write("damaged");
      await until("the log tells", () => log.lines.some(({ level }) => level === "error"), 10_000);
      expect(tokens.find(token)).toMatchObject({ caller });
      rmSync(file);
      await until("all are revoked", () => "problem" in tokens.find(token), 10_000);
    } finally {
      tokens.stop();
    }
  });

  test("have expired ones among them, which are told apart", () => {
    const { token } = add({ role: "read", expires: "2020-01-01T00:00:00.000Z" });
    const opened = openTokens(file, createKeptLog());
    if (!opened.ok) throw new Error(opened.failure.message);
    expect(opened.value.find(token)).toEqual({ problem: "expired" });
    opened.value.stop();
  });

  test("that can't be read keep it from starting", () => {
    write("{}", 0o644);
    expect(openTokens(file, createKeptLog())).toMatchObject({ ok: false });
  });
});
