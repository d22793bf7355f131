import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import {
  createDownloadResults,
  type DownloadOutcome,
} from "../../../../src/main/downloads/download-results.js";
import type { WholeReply } from "../../../../src/protocol/http/transport.js";
import { fail } from "../../../../src/protocol/storage/failures.js";
import type { SnapshotName } from "../../../../src/protocol/storage/names.js";
import { downloadRequest } from "../../../support/download-request.js";
import { silentReply } from "../../../support/silent-reply.js";

const snapshot = "tank/v@s" as SnapshotName;
const HOUR_MS = 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** The results, and a download that runs under the id `live`. */
function create(running?: { outcome: DownloadOutcome; ended: Promise<unknown> }) {
  const results = createDownloadResults({ find: (id) => (id === "live" ? running : undefined) });
  const ask = async (query: string) => {
    let answer: readonly [number, string] | undefined;
    const reply: WholeReply = {
      ...silentReply,
      send: (status, _headers, body) => {
        answer = [status, String(body)];
      },
    };
    await results.handle({ ...downloadRequest, query }, reply, ANYONE);
    return answer;
  };
  return { results, ask };
}

describe("the result of a download", () => {
  test("is kept for an hour, and is not found of a download that nobody knows", async () => {
    const { results, ask } = create();
    results.keep("a", { snapshot, state: "complete" });
    const { failure } = fail("command.failed", "it broke");
    results.keep("b", { snapshot, state: "failed", failure });
    expect(await ask("download=a")).toEqual([
      200,
      '{"download":"a","snapshot":"tank/v@s","state":"complete"}\n',
    ]);
    expect(await ask("download=b")).toEqual([
      200,
      '{"download":"b","snapshot":"tank/v@s","state":"failed","reason":"command.failed","message":"it broke"}\n',
    ]);
    expect(await ask("")).toEqual([400, "need a download\n"]);
    expect(await ask("download=c")).toEqual([404, "not found\n"]);
    vi.advanceTimersByTime(HOUR_MS);
    expect(await ask("download=a")).toEqual([404, "not found\n"]);
  });

  test("of the newest thousands is kept, so that nobody can fill the memory", async () => {
    const { results, ask } = create();
    for (let index = 0; index <= 4_096; index++) results.keep(`d-${index}`, { snapshot, state: "complete" });
    expect((await ask("download=d-0"))?.[0]).toBe(404);
    expect((await ask("download=d-1"))?.[0]).toBe(200);
  });

  test("of one that runs waits a second for its end", async () => {
    const { ask } = create({ outcome: { snapshot, state: "running" }, ended: new Promise(() => {}) });
    const asked = ask("download=live");
    await vi.advanceTimersByTimeAsync(999);
    let isAnswered = false;
    void asked.then(() => {
      isAnswered = true;
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(isAnswered).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect((await asked)?.[1]).toContain('"state":"running"');
  });

  test("of one that ends meanwhile tells the end, and of one that is flushing it waits for nothing", async () => {
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const { results, ask } = create({ outcome: { snapshot, state: "running" }, ended });
    const asked = ask("download=live");
    results.keep("live", { snapshot, state: "complete" });
    end();
    expect((await asked)?.[1]).toContain('"state":"complete"');
    const flushing = create({ outcome: { snapshot, state: "complete" }, ended: new Promise(() => {}) });
    expect((await flushing.ask("download=live"))?.[1]).toContain('"state":"complete"');
  });
});
