import { pino } from "pino";
import { expect, test } from "vitest";
import type { Actor } from "../../../../src/main/pools/actor-handle.js";
import { watchActors } from "../../../../src/main/pools/actor-watch.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import type { WorkReport } from "../../../../src/protocol/threads/work-report.js";
import { until } from "../../../support/until.js";

test("an actor that answers nothing is late itself, is logged, and is well once it answers", async () => {
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  const work: WorkReport = {
    id: 3,
    name: "CreateVolume",
    datasets: [],
    ms: 9,
    locks: [],
    waitsFor: [],
    commands: [],
  };
  let answers = false;
  const actor = {
    pool: "tank" as PoolName,
    state: "ready",
    pending: 7,
    late: [work],
    stats: async () => {
      if (!answers) throw new Error("no answer within 1 ms");
      return { commandsRun: 0, notices: [] };
    },
  } as unknown as Actor;
  const watch = watchActors({ actors: [actor], log, answerMs: 1, lateMs: 20 });
  try {
    expect(watch.lateOf(actor)).toEqual([work]);
    await until("it is late", () => watch.lateOf(actor).length > 1);
    expect(watch.lateOf(actor)).toMatchObject([
      { name: "actor", waitsFor: [{ kind: "thread" }] },
      { name: "CreateVolume" },
    ]);
    await until("it is logged", () => lines.length > 0);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      msg: "the actor does not answer",
      pool: "tank",
      pending: 7,
      problem: "no answer within 1 ms",
    });
    answers = true;
    await until("it is well again", () => watch.lateOf(actor).length === 1);
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ msg: "the actor answers again", pool: "tank" });
  } finally {
    await watch.stop();
  }
});
