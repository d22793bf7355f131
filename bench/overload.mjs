// @ts-check
import { setTimeout as sleep } from "node:timers/promises";
import { POOL, startEmbedded } from "./lib/daemon.mjs";
import { must, replyOf, requestText } from "./lib/http-client.mjs";
import { sendAtRate, sendFor } from "./lib/load.mjs";
import { percentile } from "./lib/statistics.mjs";
import { watchProcess } from "./lib/watch.mjs";

const MAILBOX = 64;
const VOLUMES = 32;
/** Half of the mailbox, so that nothing is refused. */
const SUSTAINED_CONNECTIONS = 32;
const OVERLOAD_CONNECTIONS = 512;
const FACTOR = 10;
const RECOVERY_MS = 1_000;
const HIGHEST_RATE = 20_000;

/** @type {import("./run.mjs").Bench} */
export default {
  title: `${FACTOR} times the load that an embedded pool can serve: half creations, half look-ups of snapshots`,
  run: async (tools) => {
    const { settings, compare, bound, note } = tools;
    for (let run = 0; run < settings.runs; run++) await overloadOnce(tools);
    compare({
      label: "RSS at the end to that at the start",
      of: "RSS at the end",
      to: "RSS at the start",
      atMost: 1.2,
    });
    compare({
      label: "sustained 1 s after to before",
      of: "sustained 1 s after",
      to: "sustained before",
      atLeast: 0.9,
    });
    compare({
      label: "sustained 1 s after to that by a new daemon",
      of: "sustained 1 s after",
      to: "sustained by a new daemon",
    });
    compare({
      label: "served under overload to sustained",
      of: "served under overload",
      to: "sustained before",
    });
    bound({ label: "lost creations", of: "acknowledged and not there", atMost: 0 });
    bound({ label: "creations without an acknowledgement", of: "there and not acknowledged", atMost: 0 });
    bound({ label: "refusal p99", of: "refusal p99" });
    note(
      `Each run takes ${settings.overloadSeconds} s${settings.full ? "" : " (60 s with BENCH_FULL=1)"} on a new pool, over ` +
        `${OVERLOAD_CONNECTIONS} connections, with limits.mailbox ${MAILBOX}. Client and daemon share the processors, so the time ` +
        "of a refusal includes the client's own. Creations sync files, so the disk sets their rate, which on this machine " +
        "varies from minute to minute. A new daemon with a new pool, measured right after, shows the rate of that moment. " +
        "Tried: creations alone. Their rate doesn't fall as the number of snapshots grows.",
    );
  },
};

/**
 * Starts a daemon with a new pool and prepares the calls for it.
 * @param {import("./run.mjs").Tools} tools
 */
async function startNew(tools) {
  const daemon = await startEmbedded(tools, { limits: { mailbox: MAILBOX } });
  const volumes = Array.from({ length: VOLUMES }, (_, index) => `guests/g${index}/disk`);
  for (const id of volumes) await must(daemon.port, "CreateVolume", { id, size: 1 });
  await must(daemon.port, "CreateSnapshot", { id: volumes[0], dest: "s" });
  /** @type {string[]} full names of the snapshots whose creation the daemon has acknowledged */
  const acknowledged = [`${POOL}/${volumes[0]}@s`];
  return { daemon, mix: createMix(volumes), acknowledged };
}

/** @param {import("./run.mjs").Tools} tools */
async function overloadOnce(tools) {
  const { settings, add, say, note } = tools;
  const { daemon, mix, acknowledged } = await startNew(tools);
  const sustained = await sustain(daemon.port, mix, acknowledged, settings.seconds);
  say(`sustained: ${Math.round(sustained)} calls/s`);

  const perSecond = Math.min(sustained * FACTOR, HIGHEST_RATE);
  const seconds = settings.overloadSeconds;
  const watch = watchProcess(tools, daemon.pid);
  /** @type {number[]} */
  const refusedMs = [];
  let served = 0;
  const report = await sendAtRate({
    port: daemon.port,
    connections: OVERLOAD_CONNECTIONS,
    perSecond,
    seconds,
    request: mix.request,
    onReply: (reply, index, sinceSentMs) => {
      if (isRefusal(reply)) {
        refusedMs.push(sinceSentMs);
        return;
      }
      served++;
      noteCreation(reply, mix.creates(index), acknowledged);
    },
  });
  const { values, trend } = watch.stop();
  await sleep(RECOVERY_MS);
  const after = await sustain(daemon.port, mix, acknowledged, settings.seconds);

  const { snapshots } = await must(daemon.port, "ListSnapshots", {});
  const inPool = new Set(snapshots.map((/** @type {{ id: string }} */ each) => each.id));
  const lost = acknowledged.filter((name) => !inPool.has(name)).length;
  const unacknowledged = inPool.size - (acknowledged.length - lost);

  const memory = trend("rssMib");
  add("rates", "sustained before", "calls/s", sustained);
  add("rates", "offered", "calls/s", report.sent / seconds);
  add("rates", "served under overload", "calls/s", served / seconds);
  add("rates", "refused", "calls/s", refusedMs.length / seconds);
  add("rates", "sustained 1 s after", "calls/s", after);
  add("refusals", "share of refusals", "%", (refusedMs.length / report.sent) * 100);
  add("refusals", "refusal p50", "ms", percentile(refusedMs, 50));
  add("refusals", "refusal p99", "ms", percentile(refusedMs, 99));
  add("memory", "RSS at the start", "MiB", memory.begin);
  add("memory", "RSS at the end", "MiB", memory.end);
  add("memory", "highest RSS", "MiB", memory.highest);
  add("changes", "acknowledged creations", "snapshots", acknowledged.length);
  add("changes", "acknowledged and not there", "snapshots", lost);
  add("changes", "there and not acknowledged", "snapshots", unacknowledged);
  note(`RSS once a second: ${values.rssMib.map(Math.round).join(" ")} MiB.`);
  await daemon.stop();

  // The rate of a daemon that was never overloaded, at this moment.
  const other = await startNew(tools);
  const fresh = await sustain(other.daemon.port, other.mix, other.acknowledged, settings.seconds);
  add("rates", "sustained by a new daemon", "calls/s", fresh);
  say(`sustained 1 s after: ${Math.round(after)} calls/s, by a new daemon: ${Math.round(fresh)} calls/s`);
  await other.daemon.stop();
}

/** @param {string} reply */
const isRefusal = (reply) => /\r\nretry-after:/i.test(reply);

/**
 * Every second call creates a snapshot under a new name. The others look one up.
 * @param {readonly string[]} volumes
 */
function createMix(volumes) {
  const lookUp = requestText("GetSnapshot", { id: `${volumes[0]}@s` });
  /** The number of the last name; it only grows, so that no name comes twice. */
  let lastName = 0;
  /** @type {Map<number, string>} from a call's index to the name that it creates, until it is answered */
  const names = new Map();
  return {
    request: (/** @type {number} */ index) => {
      if (index % 2 === 0) return lookUp;
      const number = ++lastName;
      const id = volumes[number % volumes.length] ?? "";
      names.set(index, `${POOL}/${id}@n${number}`);
      return requestText("CreateSnapshot", { id, dest: `n${number}` });
    },
    /** The full name of the snapshot that a call creates, undefined for a look-up. Forgets it, so ask only once. */
    creates: (/** @type {number} */ index) => {
      const name = names.get(index);
      names.delete(index);
      return name;
    },
  };
}

/** @param {string} reply @param {string | undefined} name @param {string[]} acknowledged */
function noteCreation(reply, name, acknowledged) {
  const { error } = replyOf(reply);
  if (error !== null) throw new Error(`${name ?? "GetSnapshot"}: ${error}`);
  if (name !== undefined) acknowledged.push(name);
}

/**
 * Loads the daemon as fast as it answers, with fewer connections than its mailbox has room for.
 * @returns calls a second
 * @param {number} port @param {ReturnType<typeof createMix>} mix @param {string[]} acknowledged @param {number} seconds
 */
async function sustain(port, mix, acknowledged, seconds) {
  const connections = SUSTAINED_CONNECTIONS;
  const { perSecond, answers } = await sendFor({ port, connections, seconds, request: mix.request });
  for (const [index, reply] of answers.entries()) {
    if (isRefusal(reply)) throw new Error("refused although the mailbox had room");
    noteCreation(reply, mix.creates(index), acknowledged);
  }
  return perSecond;
}
