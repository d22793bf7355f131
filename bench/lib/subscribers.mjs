// @ts-check
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { scriptOf } from "./process.mjs";

/**
 * What subscribers have got.
 * @typedef {object} Got
 * @property {number} whole how many have all that was for them
 * @property {number} closed how many were closed
 * @property {number} events of all those that are whole
 * @property {number} bytes of the messages of all
 * @property {number} gaps
 *
 * @typedef {object} Subscribers
 * @property {() => Promise<Got>} take what they have got since it was asked last, when nothing more comes
 * @property {() => void} stop
 */

const SETTLE_MS = 500;
/** A server that is still sending then has lost. */
const MOST_SETTLES = 120;

/**
 * Starts subscribers in processes of their own. Resolves when all have subscribed.
 * @param {import("./releasers.mjs").Releasers} releasers
 * @param {{ port: number, count: number, processes: number, teams: number, batches: boolean }} options
 * @returns {Promise<Subscribers>}
 */
export async function startSubscribers(releasers, { port, count, processes, teams, batches }) {
  const argument = JSON.stringify({ port, count: Math.ceil(count / processes), teams, batches });
  const children = Array.from({ length: processes }, () =>
    fork(scriptOf("subscriber-process.mjs"), [argument]),
  );
  const stop = () => {
    for (const child of children) if (child.connected) child.disconnect();
  };
  releasers.defer(stop);
  const died = Promise.race(
    children.map(async (child) => {
      const [code] = await once(child, "exit");
      throw new Error(`subscribers ended with ${code}`);
    }),
  );
  died.catch(() => {});
  /** @param {(child: import("node:child_process").ChildProcess) => void} [ask] */
  const answersOf = (ask) =>
    Promise.race([
      died,
      Promise.all(
        children.map(async (child) => {
          const answered = once(child, "message");
          ask?.(child);
          const [answer] = await answered;
          return answer;
        }),
      ),
    ]);
  await answersOf();
  const ask = async (/** @type {"peek" | "take"} */ how) => {
    /** @type {Got[]} */
    const answers = await answersOf((child) => child.send(how));
    const sum = (/** @type {keyof Got} */ name) => answers.reduce((total, each) => total + each[name], 0);
    return {
      whole: sum("whole"),
      closed: sum("closed"),
      events: sum("events"),
      bytes: sum("bytes"),
      gaps: sum("gaps"),
    };
  };
  return {
    stop,
    take: async () => {
      let { bytes } = await ask("peek");
      for (let count = 0; count < MOST_SETTLES; count++) {
        await sleep(SETTLE_MS);
        const now = await ask("peek");
        if (now.bytes === bytes) break;
        bytes = now.bytes;
      }
      return ask("take");
    },
  };
}
