import { afterAll, beforeAll, expect, test } from "vitest";
import type { InProcessDaemon } from "./in-process.js";
import { call, must, type Reply, type Snapshots, type Volumes } from "./rpc.js";
import { turn, until } from "./until.js";

export const DATASETS = 32;
export const REQUESTS = 500;
const MOST_KILLS = 5;

/** A pool to test under load. */
export interface LoadedPool {
  readonly pool: string;
  /** Starts a daemon in this process that serves the pool. */
  start(): Promise<InProcessDaemon>;
  /** Removes the pool. The daemon has stopped before. */
  remove(): void | Promise<void>;
  /** Full names of all snapshots in the pool. They should not come from the API, if possible. */
  snapshots(url: string): Promise<readonly string[]>;
}

/** One request of the mix, with its reply. */
interface Sent {
  readonly method: "CreateSnapshot" | "DeleteSnapshot" | "GetSnapshot" | "ListSnapshots";
  readonly dataset: string;
  readonly tag: string;
  readonly reply: Reply<Snapshots>;
}

/** Numbers below 1 that depend on the seed only, so that a failure can be reproduced. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Tests a pool after hundreds of requests at once, and after a crash of the actor among them. */
export function describeLoad({ pool, start, remove, snapshots }: LoadedPool): void {
  let server: InProcessDaemon;
  const names = Array.from({ length: DATASETS }, (_, index) => `guests/load-${index}`);

  beforeAll(async () => {
    server = await start();
    await Promise.all(names.map((id) => must<Volumes>(server.url, "CreateVolume", { id, size: 8 })));
  });
  afterAll(async () => {
    await server?.stop();
    await remove();
  });

  /** Sends the mix all at once. One request creates a snapshot name, and at most one deletes it. */
  async function sendMix(round: string): Promise<Sent[]> {
    const random = randomNumbers(round.length);
    const created: { dataset: string; tag: string }[] = [];
    const send = async (
      method: Sent["method"],
      dataset: string,
      tag: string,
      params: object,
    ): Promise<Sent> => {
      return { method, dataset, tag, reply: await call<Snapshots>(server.url, method, params) };
    };
    const requests: Promise<Sent>[] = [];
    for (let index = 0; index < REQUESTS; index++) {
      const dataset = names[Math.floor(random() * DATASETS)] as string;
      const kind = random();
      if (kind < 0.4 || created.length === 0) {
        const tag = `${round}-${index}`;
        created.push({ dataset, tag });
        requests.push(send("CreateSnapshot", dataset, tag, { id: dataset, dest: tag }));
      } else if (kind < 0.6) {
        const [victim] = created.splice(Math.floor(random() * created.length), 1);
        if (!victim) continue;
        const id = `${victim.dataset}@${victim.tag}`;
        requests.push(send("DeleteSnapshot", victim.dataset, victim.tag, { id }));
      } else if (kind < 0.95) {
        requests.push(send("GetSnapshot", dataset, "any", { id: `${dataset}@any` }));
      } else requests.push(send("ListSnapshots", dataset, "", { id: dataset }));
    }
    return Promise.all(requests);
  }

  async function snapshotsInPool(round: string): Promise<Set<string>> {
    return new Set((await snapshots(server.url)).filter((name) => name.includes(`@${round}-`)));
  }

  const isInterrupted = ({ reply }: Sent) => /ask again|try again/.test(reply.error ?? "");
  const nameOf = ({ dataset, tag }: Sent) => `${pool}/${dataset}@${tag}`;

  test("the pool ends in the state that the answers claim", async () => {
    const sent = await sendMix("mix");
    const created = sent.filter((each) => each.method === "CreateSnapshot");
    expect(created.filter((each) => each.reply.error !== null)).toEqual([]);
    const deletions = sent.filter((each) => each.method === "DeleteSnapshot");
    expect(deletions.length).toBeGreaterThan(50);
    // A deletion may run before its creation and find nothing. All others must succeed.
    for (const each of deletions) expect([null, "not found"]).toContain(each.reply.error);
    const deleted = new Set(deletions.filter((each) => each.reply.error === null).map(nameOf));
    const claimed = created.map(nameOf).filter((name) => !deleted.has(name));
    expect(await snapshotsInPool("mix")).toEqual(new Set(claimed));
  });

  test("killing the actor's thread in the middle loses no acknowledged change", async () => {
    const actor = [...server.daemon.actors.values()][0];
    const restarts = actor?.restarts ?? 0;
    const sent = await sendMix("kill-before");
    // A busy machine may give the actor all its turns before this process sees one request under way.
    for (let kills = 1; kills <= MOST_KILLS && !sent.some(isInterrupted); kills++) {
      let isAnswered = false;
      const mix = sendMix(`kill-${kills}`).finally(() => {
        isAnswered = true;
      });
      // Looks in each turn of the event loop: on an embedded pool all of it takes few.
      while (!isAnswered && (actor?.pending ?? 0) < 50) await turn();
      await actor?.crash();
      sent.push(...(await mix));
      await until("the actor is up again", () => actor?.state === "ready", 60_000);
      expect(actor?.restarts).toBe(restarts + kills);
    }

    const interrupted = sent.filter(isInterrupted);
    expect(interrupted.length).toBeGreaterThan(0);
    const inPool = await snapshotsInPool("kill");
    const unclear = new Set(interrupted.filter((each) => each.method === "DeleteSnapshot").map(nameOf));
    const deleted = new Set(
      sent.filter((each) => each.method === "DeleteSnapshot" && each.reply.error === null).map(nameOf),
    );
    const acknowledged = sent.filter((each) => each.method === "CreateSnapshot" && each.reply.error === null);
    expect(acknowledged.length).toBeGreaterThan(0);
    for (const name of acknowledged.map(nameOf)) {
      if (deleted.has(name)) expect(inPool, `${name} was deleted`).not.toContain(name);
      else if (!unclear.has(name)) expect(inPool, `${name} was created`).toContain(name);
    }
    // The actor still works, and no lock is left behind.
    const after = await Promise.all(
      names.map((id) => call<Snapshots>(server.url, "CreateSnapshot", { id, dest: "after" })),
    );
    expect(after.filter((each) => each.error !== null)).toEqual([]);
  });
}
