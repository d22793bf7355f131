// @ts-check
import { scriptOf, startService } from "./lib/process.mjs";
import { startSubscribers } from "./lib/subscribers.mjs";

const COUNT = 5_000;
const BRIEF_COUNT = 200;
const PROCESSES = 2;
const WARM_UP_S = 1;
const FULL_S = 60;
/** The heap of the last case grows for a minute before V8 collects what is old in it. */
const SHARES_FULL_S = 180;
/** Events at once, as many as the hub finds in a turn of a busy event loop. */
const PER_TURN = 20;
const TEAMS = 100;
const TEAMS_RATE = 20_000;
const BARE = "bare uWebSockets.js, published";
const BATCHES = "the hub, batches";
const MESSAGES = "the hub, a message each";
const SHARES = `${TEAMS_RATE} events/s, each for one of ${TEAMS} teams`;

const PACED = `perTurn=${PER_TURN}`;

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {"hub" | "bare"} server
 * @property {boolean} batches
 * @property {number} teams
 * @property {string} load query of /run
 * @property {number} fullSeconds with BENCH_FULL=1
 */

/** @type {readonly Case[]} */
const CASES = [
  { name: BARE, server: "bare", batches: false, teams: 1, load: PACED, fullSeconds: FULL_S },
  { name: BATCHES, server: "hub", batches: true, teams: 1, load: PACED, fullSeconds: FULL_S },
  { name: MESSAGES, server: "hub", batches: false, teams: 1, load: PACED, fullSeconds: FULL_S },
  {
    name: SHARES,
    server: "hub",
    batches: true,
    teams: TEAMS,
    load: `rate=${TEAMS_RATE}&teams=${TEAMS}`,
    fullSeconds: SHARES_FULL_S,
  },
];

/**
 * @typedef {{ published: number, seconds: number, cuts: number, rss: number[], cpuSeconds: number }} Ran
 */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "events that reach WebSockets",
  run: async (tools) => {
    const { settings, compare, bound, note } = tools;
    for (let run = 0; run < settings.runs; run++) for (const each of CASES) await measure(tools, each);
    for (const of of [BATCHES, MESSAGES]) compare({ label: `events by ${of}, to ${BARE}`, of, to: BARE });
    for (const { name, server } of CASES) {
      const [of, to] = [`${name}: last third`, `${name}: second third`];
      const target = server === "bare" ? {} : { atMost: 1.1 };
      compare({
        label: `highest memory in the last third to that in the second, ${name}`,
        of,
        to,
        ...target,
      });
      bound({ label: `subscribers without an event of theirs, ${name}`, of: `${name}: lacking`, atMost: 0 });
    }
    bound({ label: `published, ${SHARES}`, of: `${SHARES}: published`, atLeast: 0.99 * TEAMS_RATE });
    if (!settings.brief)
      bound({ label: `deliveries, ${SHARES}`, of: SHARES, atLeast: (0.99 * TEAMS_RATE * COUNT) / TEAMS });
    note(
      `${settings.brief ? BRIEF_COUNT : COUNT} subscribers in ${PROCESSES} processes on the same machine, which shares its processors with them. The first three ` +
        `cases publish ${PER_TURN} events at once, as fast as subscribers take them; the last one waits for nobody. No subscriber may ` +
        "miss an event, or be cut off, or the bench fails. An event is about 250 bytes. The hub has all the events that it keeps " +
        "from the start. Memory is looked at each second, without the first third of the time, in which all is used once. With " +
        `BENCH_FULL=1 a case takes ${FULL_S} s, the last one ${SHARES_FULL_S} s, for V8 collects what is old about once a minute.`,
    );
  },
};

/** @param {import("./run.mjs").Tools} tools @param {Case} measured */
async function measure(tools, { name, server, batches, teams, load, fullSeconds }) {
  const { settings, add, say } = tools;
  const service = await startService(tools, [process.execPath, scriptOf("event-server.mjs"), server]);
  /** @type {{ port: number, control: number }} */
  const { port, control } = JSON.parse(service.firstLine);
  const count = settings.brief ? BRIEF_COUNT : COUNT;
  const subscribers = await startSubscribers(tools, { port, count, processes: PROCESSES, teams, batches });
  const run = async (/** @type {number} */ seconds) => {
    const response = await fetch(`http://127.0.0.1:${control}/run?seconds=${seconds}&${load}`);
    return /** @type {Ran} */ (await response.json());
  };
  await run(WARM_UP_S);
  await subscribers.take();
  const startedAt = performance.now();
  const { published, seconds, cuts, rss, cpuSeconds } = await run(
    settings.full ? fullSeconds : settings.seconds,
  );
  const got = await subscribers.take();
  const took = Math.max(seconds, (performance.now() - startedAt) / 1000 - 1);
  const due = (published / teams) * count;
  say(
    `${name}: ${Math.round(published / seconds)} events/s published, ${Math.round(got.events / took)} received, ` +
      `${(got.bytes / took / 1e6).toFixed(0)} MB/s, ${got.whole} subscribers of ${count} whole, ${cuts} cut off, ` +
      `RSS ${rss.map((each) => each.toFixed(0)).join(" ")} MiB`,
  );
  add("events that subscribers got", name, "events/s", got.events / took);
  add("events published", `${name}: published`, "events/s", published / seconds);
  add("bytes", `${name}: bytes`, "MB/s", got.bytes / took / 1e6);
  add("processor time of the server", `${name}: processor`, "ns/event", (cpuSeconds / got.events) * 1e9);
  const [second, last] = [rss.slice(rss.length / 3, (rss.length * 2) / 3), rss.slice((rss.length * 2) / 3)];
  add("memory of the server", `${name}: second third`, "MiB", Math.max(...second));
  add("memory of the server", `${name}: last third`, "MiB", Math.max(...last));
  add(
    "subscribers without an event of theirs",
    `${name}: lacking`,
    "subscribers",
    count - got.whole + got.gaps,
  );
  subscribers.stop();
  await service.stop();
  if (got.whole !== count || cuts > 0 || got.gaps > 0 || Math.abs(got.events - due) > count) {
    throw new Error(
      `${name}: ${got.whole} of ${count} have all, ${cuts} cut off, ${got.events} events of ${due}`,
    );
  }
}
