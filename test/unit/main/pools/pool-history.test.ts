import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { openPoolHistory } from "../../../../src/main/pools/pool-history.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const file = join(folder, "txgs");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A history of committed groups, of which the last `wrote`, with an open one behind them. */
function write(last: number, wrote = 0): void {
  const groups = Array.from({ length: 100 }, (_, index) => last - 99 + index);
  const line = (txg: number, state: string, nwritten: number) =>
    `${txg} ${txg * 1_000_000_000} ${state} 0 0 ${nwritten} 0 0 5119960000 4000 10000 1300000 ${" ".repeat(300)}`;
  writeFileSync(
    file,
    [
      "txg birth state ndirty nread nwritten reads writes otime qtime wtime stime",
      ...groups.map((txg) => line(txg, "C", txg === last ? wrote : 0)),
      line(last + 1, "O", 0),
      "",
    ].join("\n"),
  );
}

function open() {
  const history = openPoolHistory(file);
  onTestFinished(() => history.close());
  return history;
}

describe("the history of a pool", () => {
  test("tells the same state until a group has written, also where its text needs more room", async () => {
    write(500);
    const history = open();
    const first = await history.now();
    expect(first).toEqual(expect.any(String));
    expect(await history.now()).toBe(first);
    write(501);
    expect(await history.now()).toBe(first);
    write(502, 4096);
    expect([undefined, first]).not.toContain(await history.now());
  });

  test("is read once for all who ask in a turn, after the last of them", async () => {
    write(500);
    const history = open();
    const first = await history.now();
    const [asked, later] = [history.now(), history.now()];
    write(501, 512);
    expect(later).toBe(asked);
    expect(await asked).not.toBe(first);
  });

  test("tells nothing while the file is away, and goes on when it is back", async () => {
    rmSync(file);
    const history = open();
    expect(await history.now()).toBeUndefined();
    write(500);
    expect(await history.now()).toEqual(expect.any(String));
  });
});
