// @ts-check
import { cpuSeconds } from "./process.mjs";
import { repeatCall } from "./repeat-call.mjs";

/**
 * A server, and the call that is repeated on it.
 * @typedef {object} Side
 * @property {string} label
 * @property {number} port
 * @property {number} pid
 * @property {string} request
 * @property {string} expected the body of every reply
 * @property {Buffer} [ca] who has signed the certificate of a server with TLS
 *
 * @typedef {object} Rate
 * @property {string} label of the side
 * @property {number} perSecond replies a second
 * @property {number} cpuUs processor time that the server took for a call, µs
 */

/** The rounds of a run. They are short, so that what happens on the machine meanwhile affects all sides alike. */
export const ROUNDS = 5;
const WARM_UP_S = 2;

/**
 * One round: loads the servers one after the other, each for a share of the time of a run. The order is
 * reversed in every other round, so that neither side always has the first turn.
 * @param {readonly Side[]} sides
 * @param {{ round: number, connections: number, seconds: number }} load `seconds`: the time of a run
 * @returns {Promise<Rate[]>} in the order of the sides
 */
export async function loadInTurns(sides, { round, connections, seconds }) {
  /** @type {Map<Side, Rate>} */
  const rates = new Map();
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
    const { label, pid } = side;
    let cpuBefore = 0;
    const onStart = () => {
      cpuBefore = cpuSeconds(pid);
    };
    const report = await repeatCall({ ...side, connections, seconds: seconds / ROUNDS, onStart });
    const cpuUs = ((cpuSeconds(pid) - cpuBefore) / report.replies) * 1e6;
    rates.set(side, { label, perSecond: report.perSecond, cpuUs });
  }
  return sides.flatMap((side) => rates.get(side) ?? []);
}

/**
 * Loads each server until its code is compiled, so that the first round is like the others.
 * @param {readonly Side[]} sides @param {number} seconds the time of a run
 */
export async function warmUp(sides, seconds) {
  for (const side of sides) {
    await repeatCall({ ...side, connections: 100, seconds: Math.min(seconds, WARM_UP_S) });
  }
}
