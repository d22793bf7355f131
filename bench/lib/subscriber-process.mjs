// @ts-check
/**
 * Some thousand subscribers of WebSockets in one process. The first of each team looks at the number of each event; the others
 * count the bytes, which must be as many. Says over IPC when all have subscribed, and at each message from its parent what they
 * have got since the last one that was "take".
 * Usage: forked, with the argument {"port","count","teams","batches"}
 */
import { createFrameReader, frameOf, openRawSocket } from "./ws-client.mjs";

/** @type {{ port: number, count: number, teams: number, batches: boolean }} */
const { port, count, teams, batches } = JSON.parse(process.argv[2] ?? "{}");
const SUBSCRIBE = frameOf(
  JSON.stringify({ jsonrpc: "2.0", method: "Subscribe", params: { topics: ["volume"], batches }, id: 1 }),
);
const AT_ONCE = 50;
const OPCODE_CLOSE = 8;
const OPCODE_TEXT = 1;
/** All read into it, one after another. */
const buffer = Buffer.allocUnsafe(256 * 1024);

/** What a subscriber has got. `reply`: bytes of the answer to Subscribe. */
const createTotals = () => ({ isSubscribed: false, isClosed: false, bytes: 0, events: 0, last: 0, gaps: 0 });
/** @typedef {ReturnType<typeof createTotals>} Totals */

/** Counts payloads, and copies nothing. @param {Totals} totals @param {() => void} onSubscribed */
function countBytes(totals, onSubscribed) {
  let skip = 0;
  /** Of a frame's head that is not whole. @type {Buffer} */
  let left = Buffer.alloc(0);
  return (/** @type {Buffer} */ chunk) => {
    let all = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    if (left.length > 0) left = Buffer.alloc(0);
    for (;;) {
      const skipped = Math.min(skip, all.length);
      skip -= skipped;
      all = all.subarray(skipped);
      if (all.length === 0) return;
      const code = all.length < 2 ? 127 : (all[1] ?? 0);
      const headBytes = code < 126 ? 2 : code === 126 ? 4 : 10;
      if (all.length < headBytes) {
        left = Buffer.from(all);
        return;
      }
      const length = code < 126 ? code : code === 126 ? all.readUInt16BE(2) : Number(all.readBigUInt64BE(2));
      const opcode = (all[0] ?? 0) & 0x0f;
      if (opcode === OPCODE_TEXT && totals.isSubscribed) totals.bytes += length;
      skip = length;
      all = all.subarray(headBytes);
      if (opcode !== OPCODE_TEXT || totals.isSubscribed) continue;
      totals.isSubscribed = true;
      onSubscribed();
    }
  };
}

/** Looks at each event. @param {Totals} totals @param {() => void} onSubscribed */
function readEvents(totals, onSubscribed) {
  return createFrameReader((opcode, payload) => {
    if (opcode !== OPCODE_TEXT) {
      if (opcode === OPCODE_CLOSE) totals.isClosed = true;
      return;
    }
    if (!totals.isSubscribed) {
      totals.isSubscribed = true;
      return onSubscribed();
    }
    totals.bytes += payload.length;
    for (const [, text] of payload.toString("latin1").matchAll(/"seq":(\d+)/g)) {
      const seq = Number(text);
      if (totals.last > 0 && seq !== totals.last + teams) totals.gaps++;
      totals.last = seq;
      totals.events++;
    }
  });
}

/** @param {number} index @returns {Promise<Totals>} */
async function subscribe(index) {
  const totals = createTotals();
  let subscribed = () => {};
  /** @type {Promise<void>} */
  const answered = new Promise((resolve) => {
    subscribed = resolve;
  });
  const read = (index < teams ? readEvents : countBytes)(totals, () => subscribed());
  const path = teams > 1 ? `/rpc?team=${index % teams}` : "/rpc";
  const socket = await openRawSocket({ port, path, buffer }, read);
  void socket.closed.finally(() => {
    totals.isClosed = true;
  });
  socket.write(SUBSCRIBE);
  await answered;
  return totals;
}

/** @type {Totals[]} */
const all = [];
while (all.length < count) {
  const some = Array.from({ length: Math.min(AT_ONCE, count - all.length) }, (_, index) =>
    subscribe(all.length + index),
  );
  all.push(...(await Promise.all(some)));
}
process.send?.("ready");
process.on("message", (asked) => {
  const report = { whole: 0, closed: 0, events: 0, bytes: 0, gaps: 0 };
  const samples = all.slice(0, teams).map((totals) => ({ ...totals }));
  for (const [index, totals] of all.entries()) {
    const sample = samples[index % teams];
    report.bytes += totals.bytes;
    if (totals.isClosed) report.closed++;
    else if (sample && totals.bytes === sample.bytes && sample.gaps === 0) {
      report.whole++;
      report.events += sample.events;
    }
    report.gaps += totals.gaps;
    if (asked === "take") Object.assign(totals, { bytes: 0, events: 0 });
  }
  process.send?.(report);
});
process.on("disconnect", () => process.exit(0));
