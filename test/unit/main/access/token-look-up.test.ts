import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { openTokens } from "../../../../src/main/access/tokens.js";
import { secretOf, writeTokens } from "../../../support/token-file.js";

const log = { warn: () => {}, info: () => {}, error: () => {} };
const hashOf = (token: string) => createHash("sha256").update(token).digest("hex");

function openOne() {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const path = join(folder, "tokens.json");
  writeTokens(path, { known: { role: "read" }, old: { role: "read", expires: "2026-01-02T00:00:00Z" } });
  const opened = openTokens(path, log);
  if (!opened.ok) throw new Error(opened.failure.message);
  const tokens = opened.value;
  onTestFinished(() => {
    tokens.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return tokens;
}

/** What is looked up in maps while a token is looked for. */
function lookedUp(look: () => unknown): unknown[] {
  const get = vi.spyOn(Map.prototype, "get");
  try {
    look();
    return get.mock.calls.map(([key]) => key);
  } finally {
    get.mockRestore();
  }
}

test("a token is looked up by its hash alone, once, however much of it is right", () => {
  const tokens = openOne();
  const known = secretOf("known");
  const tried = [known, `${known}x`, known.slice(0, -1), `${known.slice(0, -1)}m`, secretOf("old"), "x", ""];
  for (const token of tried) {
    const keys = lookedUp(() => tokens.find(token));
    expect({ token, keys }).toEqual({ token, keys: [hashOf(token)] });
  }
  expect(tokens.find(known)).toMatchObject({ caller: { id: "known" } });
  expect(tokens.find(secretOf("old"))).toEqual({ problem: "expired" });
});

test("hashes of tokens that begin alike do not, so that a comparison of them tells nothing", () => {
  const [known, near] = [hashOf(secretOf("known")), hashOf(`${secretOf("known").slice(0, -1)}m`)];
  const alike = [...known].findIndex((digit, index) => digit !== near[index]);
  expect(alike).toBeLessThan(4);
});

test("a token that is nearly right takes as long as one of which nothing is", () => {
  const tokens = openOne();
  const near = `${secretOf("known").slice(0, -1)}m`;
  const far = "z".repeat(near.length);
  const times: Record<string, number[]> = { [near]: [], [far]: [] };
  // In turns, and medians of many: what else the machine does is in both.
  for (let round = 0; round < 200; round++) {
    for (const token of round % 2 === 0 ? [near, far] : [far, near]) {
      const startedAt = performance.now();
      for (let count = 0; count < 100; count++) tokens.find(token);
      times[token]?.push(performance.now() - startedAt);
    }
  }
  const median = (token: string) => times[token]?.toSorted((a, b) => a - b)[100] ?? Number.NaN;
  const ratio = median(near) / median(far);
  expect(ratio).toBeGreaterThan(0.7);
  expect(ratio).toBeLessThan(1.4);
});
