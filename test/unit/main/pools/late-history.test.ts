import { expect, test } from "vitest";
import { createLateHistory } from "../../../../src/main/pools/late-history.js";
import type { WorkReport } from "../../../../src/protocol/threads/work-report.js";

const work = (id: number, ms = 1): WorkReport => ({
  ...{ id, name: "CreateVolume", datasets: [], ms },
  ...{ locks: [], waitsFor: [], commands: [] },
});

test("the newest late pieces of work are kept, each once, and those of an earlier thread beside them", () => {
  const history = createLateHistory(3);
  const kept = () => history.list().map((note) => [note.work.id, note.work.ms]);
  history.note([work(1), work(2)]);
  history.note([work(1, 5)]);
  expect(kept()).toEqual([
    [2, 1],
    [1, 5],
  ]);
  history.note([]);
  history.startThread();
  history.note([work(1, 7)]);
  expect(kept()).toEqual([
    [2, 1],
    [1, 5],
    [1, 7],
  ]);
  history.note([work(8), work(9), work(10), work(11)]);
  expect(kept().map(([id]) => id)).toEqual([8, 9, 10]);
});
