import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { failed, limitReached, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import { createFetchQueue } from "../../../../src/workers/actor/fetch-queue.js";
import { turn } from "../../../support/until.js";

interface Flight {
  readonly id: string;
  readonly cancelled: AbortSignal;
  land(outcome: Outcome<string>): void;
  crash(error: Error): void;
}

function controlled(running: number, waiting: number) {
  const queue = createFetchQueue<string>(running, waiting);
  const flights: Flight[] = [];
  let started = 0;
  const request = (id: string, caller?: number) =>
    queue.request(
      id,
      (cancelled) => {
        started++;
        return new Promise((land, crash) => flights.push({ id, cancelled, land, crash }));
      },
      caller,
    );
  return { queue, flights, request, started: () => started };
}

describe("the queue of fetches", () => {
  test("runs no more than it may, lets no more wait, and fetches each id once at a time", async () => {
    const step = fc.oneof(
      fc.constantFrom("a", "b", "c", "d", "e", "f").map((ask) => ({ ask })),
      fc.nat().map((land) => ({ land })),
    );
    const limits = [fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 2 })] as const;
    await fc.assert(
      fc.asyncProperty(...limits, fc.array(step, { maxLength: 40 }), async (running, waiting, steps) => {
        const { queue, flights, request } = controlled(running, waiting);
        const answers: Promise<unknown>[] = [];
        const known = new Set<string>();
        const landOne = (choice: number) => {
          const [flight] = flights.splice(choice % flights.length, 1);
          if (flight) {
            known.delete(flight.id);
            flight.land(succeed(flight.id));
          }
        };
        for (const each of steps) {
          if ("land" in each) {
            if (flights.length > 0) landOne(each.land);
          } else {
            const full = !known.has(each.ask) && known.size >= running + waiting;
            if (!full) known.add(each.ask);
            answers.push(
              request(each.ask).then((outcome) => {
                expect(outcome).toEqual(
                  full ? limitReached("maxPending", `at most ${waiting} waiting fetches`) : succeed(each.ask),
                );
              }),
            );
          }
          await turn();
          expect(flights.length).toBe(Math.min(known.size, running));
          expect([...queue.keys()].sort()).toEqual([...known].sort());
          expect(queue.counts()).toEqual({
            running: flights.length,
            waiting: Math.max(0, known.size - running),
          });
          for (const id of ["a", "b", "c", "d", "e", "f"]) expect(queue.has(id)).toBe(known.has(id));
        }
        while (flights.length > 0) {
          landOne(0);
          await turn();
        }
        await Promise.all(answers);
        expect([...queue.keys()]).toEqual([]);
      }),
    );
  });

  test("a hundred requests for one id share one fetch and its outcome", async () => {
    const { flights, request, started } = controlled(4, 4);
    const answers = Array.from({ length: 100 }, () => request("i"));
    await turn();
    expect(started()).toBe(1);
    flights[0]?.land(failed.imageNotFound);
    expect(await Promise.all(answers)).toEqual(Array(100).fill(failed.imageNotFound));
  });

  test("a queue that is full by maxPending, while numFetchers run, refuses at once, and the same id again still joins", async () => {
    const { flights, request } = controlled(1, 1);
    const first = request("a");
    const second = request("b");
    await expect(request("c")).resolves.toEqual(limitReached("maxPending", "at most 1 waiting fetches"));
    const joined = request("a");
    await turn();
    flights.shift()?.land(succeed("a"));
    await expect(first).resolves.toEqual(succeed("a"));
    await expect(joined).resolves.toEqual(succeed("a"));
    await turn();
    flights.shift()?.land(succeed("b"));
    await expect(second).resolves.toEqual(succeed("b"));
  });

  test("who expects other bytes than the fetch was asked for is refused at once, and others join it", async () => {
    const queue = createFetchQueue<string>(1, 1);
    const landings: ((outcome: Outcome<string>) => void)[] = [];
    const request = (id: string, expected: { digest?: string; size?: number; origin?: string }) =>
      queue.request(id, () => new Promise((land) => landings.push(land)), undefined, expected);
    const joining = [request("a", { digest: "1", size: 5 }), request("a", {}), request("a", { digest: "1" })];
    joining.push(request("a", { size: 5 }));
    const refused = [request("a", { digest: "2" }), request("a", { digest: "1", size: 6 })];
    for (const [at, field] of ["digest", "size"].entries()) {
      await expect(refused[at]).resolves.toMatchObject({
        failure: { code: "dataset.exists", message: `image a is being fetched with another ${field}` },
      });
    }
    // The same for one that waits, and was asked for without a digest.
    joining.push(request("b", {}));
    await expect(request("b", { digest: "1" })).resolves.toMatchObject({
      failure: { code: "dataset.exists", message: "image b is being fetched without a digest" },
    });
    await expect(request("b", { origin: "golden" })).resolves.toMatchObject({
      failure: { code: "dataset.exists", message: "image b is being fetched without an origin" },
    });
    for (let landed = 0; landed < 2; landed++) {
      await turn();
      landings.shift()?.(succeed("landed"));
    }
    expect(await Promise.all(joining)).toEqual(joining.map(() => succeed("landed")));
  });

  test("those who wait start in the order they came", async () => {
    const { flights, request } = controlled(1, 10);
    const answers = ["a", "b", "c", "d"].map(request);
    const order: string[] = [];
    for (let left = answers.length; left > 0; left--) {
      await turn();
      const flight = flights.shift();
      order.push(flight?.id ?? "none");
      flight?.land(succeed(""));
    }
    await Promise.all(answers);
    expect(order).toEqual(["a", "b", "c", "d"]);
  });

  test("a fetch that waits leaves the queue with the last of its callers", async () => {
    const { queue, flights, request, started } = controlled(1, 1);
    const runs = request("a", 1);
    const waits = [request("b", 2), request("b", 3)];
    queue.leave("b", 2);
    queue.leave("b", 2);
    queue.leave("b", 99);
    expect(queue.has("b")).toBe(true);
    await expect(request("c", 4)).resolves.toEqual(limitReached("maxPending", "at most 1 waiting fetches"));
    queue.leave("b", 3);
    for (const outcome of await Promise.all(waits)) {
      expect(outcome).toMatchObject({ ok: false, failure: { code: "service.interrupted" } });
    }
    expect(queue.has("b")).toBe(false);
    // Its place is free again, and it is not fetched.
    const next = request("c", 5);
    queue.leave("a", 1);
    await turn();
    expect(queue.has("a")).toBe(true);
    flights.shift()?.land(succeed("a"));
    await expect(runs).resolves.toEqual(succeed("a"));
    await turn();
    flights.shift()?.land(succeed("c"));
    await expect(next).resolves.toEqual(succeed("c"));
    expect(started()).toBe(2);
  });

  test("a caller that never leaves keeps a fetch in the queue", async () => {
    const { queue, flights, request } = controlled(1, 1);
    const runs = request("a");
    const waits = [request("b", 1), request("b")];
    queue.leave("b", 1);
    expect(queue.has("b")).toBe(true);
    flights.shift()?.land(succeed("a"));
    await runs;
    await turn();
    flights.shift()?.land(succeed("b"));
    expect(await Promise.all(waits)).toEqual([succeed("b"), succeed("b")]);
  });

  test("a caller that cancels is answered at once, and the fetch goes on for the others", async () => {
    const { queue, flights, request } = controlled(1, 1);
    const [first, second] = [request("a", 1), request("a", 2)];
    queue.cancel("a", 1);
    queue.cancel("a", 1);
    await expect(first).resolves.toEqual(failed.cancelled);
    expect(flights[0]?.cancelled.aborted).toBe(false);
    flights.shift()?.land(succeed("a"));
    await expect(second).resolves.toEqual(succeed("a"));
  });

  test("the last caller that cancels ends the fetch, and waits for its end", async () => {
    const { queue, flights, request } = controlled(1, 1);
    const [first, second] = [request("a", 1), request("a", 2)];
    queue.cancel("a", 1);
    queue.cancel("a", 2);
    await expect(first).resolves.toEqual(failed.cancelled);
    expect(flights[0]?.cancelled.aborted).toBe(true);
    expect(queue.has("a")).toBe(true);
    flights.shift()?.land(failed.interrupted);
    await expect(second).resolves.toEqual(failed.cancelled);
    expect(queue.has("a")).toBe(false);
  });

  test("a fetch that is complete before it can be ended is a success", async () => {
    const { queue, flights, request } = controlled(1, 1);
    const asked = request("a", 1);
    queue.cancel("a", 1);
    flights.shift()?.land(succeed("a"));
    await expect(asked).resolves.toEqual(succeed("a"));
  });

  test("one that waits and is cancelled leaves the queue without being fetched", async () => {
    const { queue, flights, request, started } = controlled(1, 1);
    const runs = request("a", 1);
    const waits = request("b", 2);
    queue.cancel("b", 2);
    await expect(waits).resolves.toEqual(failed.cancelled);
    flights.shift()?.land(succeed("a"));
    await runs;
    expect(started()).toBe(1);
  });

  test("a client that left while its fetch ran still counts when another cancels", async () => {
    const { queue, flights, request } = controlled(1, 1);
    const asked = [request("a", 1), request("a", 2)];
    queue.leave("a", 1);
    queue.cancel("a", 2);
    expect(flights[0]?.cancelled.aborted).toBe(false);
    flights.shift()?.land(succeed("a"));
    expect(await Promise.all(asked)).toEqual([succeed("a"), failed.cancelled]);
  });

  test("a fetch that throws gives its place back", async () => {
    const { queue, flights, request } = controlled(1, 0);
    const crashed = request("a");
    await turn();
    flights.shift()?.crash(new Error("bug"));
    await expect(crashed).rejects.toThrow("bug");
    expect(queue.has("a")).toBe(false);
    const again = request("a");
    await turn();
    flights.shift()?.land(succeed("a"));
    await expect(again).resolves.toEqual(succeed("a"));
  });
});
