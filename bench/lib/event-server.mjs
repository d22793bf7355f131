// @ts-check
/**
 * What the daemon has for events, without pools: its hub, its channels, and its transport. Events are made here, since no pool
 * makes as many. `bare` is the reference: a server of uWebSockets.js that publishes the same bytes, and nothing else.
 * Usage: node event-server.mjs hub|bare
 * GET /run?seconds=S&perTurn=N  publishes N events at once, again and again, as fast as the slowest of some clients takes them
 * GET /run?seconds=S&rate=R     publishes R events a second, and waits for nobody
 * `teams=T`: each event is of the next of T teams. Clients of /rpc?team=K are told of that team alone, others of all.
 */
import { createServer } from "node:http";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { loadUws } from "./load-uws.mjs";

const PACE_BYTES = 32 * 1024;
/** How many clients are looked at in a turn. */
const LOOKED_AT = 250;
const TICK_MS = 5;
/** What was not published in time on a busy machine follows in so many at once: a daemon makes no more in a turn either. */
const MOST_AT_ONCE = 2_000;
const MIB = 1024 * 1024;
const EPOCH = "bench000";
/** The newest events are kept: as many are there from the start, so that their memory does not look like growth. */
const KEPT_EVENTS = 10_000;
const LIMITS = {
  bodyBytes: MIB,
  bodyBytesInFlight: 64 * MIB,
  bodyMs: 5_000,
  replyMs: 5_000,
  connections: 20_000,
};

/** @param {number} index of the event @param {number} teams */
const idOf = (index, teams) => `tank/guests/team-${index % teams}-a/disk-0`;

/**
 * @typedef {object} Publisher
 * @property {number} port
 * @property {(count: number, teams: number) => void} publish
 * @property {() => number} mostWaiting bytes, of some clients
 * @property {() => number} cuts
 */

/** @param {string} name of a module of the daemon */
const load = (name) => import(new URL(`../../compiled/${name}`, import.meta.url).href);

/** @returns {Promise<Publisher>} */
async function openHub() {
  /** @type {typeof import("../../src/main/events/hub.js")} */
  const { createEventHub } = await load("main/events/hub.js");
  /** @type {typeof import("../../src/main/events/channel-events.js")} */
  const { openChannelEvents } = await load("main/events/channel-events.js");
  /** @type {typeof import("../../src/main/rpc/rpc-channels.js")} */
  const { createRpcChannels } = await load("main/rpc/rpc-channels.js");
  /** @type {typeof import("../../src/main/http/uws.js")} */
  const { createUwsTransport } = await load("main/http/uws.js");
  /** @type {typeof import("../../src/main/http/uws-builds.js")} */
  const { loadUws: loadBuild } = await load("main/http/uws-builds.js");
  /** @type {typeof import("../../src/protocol/json-rpc/methods/table.js")} */
  const { createMethodTable } = await load("protocol/json-rpc/methods/table.js");
  const { build } = loadBuild();
  if (!build) throw new Error("no uWebSockets.js loads");
  const hub = createEventHub(EPOCH, KEPT_EVENTS);
  const waiting = createLook();
  let cuts = 0;
  let published = 0;
  const publish = (/** @type {number} */ count, /** @type {number} */ teams) => {
    for (let left = count; left > 0; left--) {
      const id = idOf(published++, teams);
      hub.publish({
        ...{ topic: "volume", action: "changed", pool: "tank", id, caller: "1c2cbe832861" },
        requestId: "c11d55af27d4-2",
      });
    }
  };
  publish(KEPT_EVENTS, 1);
  const refuse = () => {
    throw new Error("there is no pool");
  };
  const rpc = createRpcChannels({
    pools: [],
    methods: createMethodTable(),
    batchLength: 100,
    batchLists: 16,
    bodyBytesInFlight: 64 * MIB,
    replyBytes: MIB,
    replyBytesInFlight: 64 * MIB,
    run: refuse,
    runOnTerms: refuse,
    runOnNode: refuse,
    discover: refuse,
    report: () => {},
    onBug: (error) => process.stderr.write(`${error}\n`),
    openExtras: (channel, caller) => {
      const left = waiting.add(() => channel.waitingBytes);
      const onCut = () => void cuts++;
      const events = openChannelEvents({ hub, subscriberBytes: MIB, lookMs: 15_000, onCut }, channel, caller);
      return {
        ...events,
        onClose: () => {
          left();
          events.onClose();
        },
      };
    },
  });
  const listener = await createUwsTransport(build).listen({
    host: "127.0.0.1",
    port: 0,
    limits: LIMITS,
    onRefused: () => {},
    handle: (_request, reply) => reply.send(404, [], ""),
    channels: {
      idleMs: 600_000,
      accept: ({ query }) => {
        const team = new URLSearchParams(query).get("team");
        const names = team === null ? undefined : [`guests/team-${team}-*`];
        return rpc.accept({ id: "bench", grant: { role: "read", ...(names && { names }) } }, "");
      },
    },
  });
  return {
    port: listener.port,
    publish,
    mostWaiting: waiting.most,
    cuts: () => cuts,
  };
}

/** @returns {Promise<Publisher>} */
async function openBare() {
  const uWS = await loadUws();
  const waiting = createLook();
  let seq = 0;
  const app = uWS.App().ws("/*", {
    maxBackpressure: 1024 * MIB,
    idleTimeout: 600,
    open: (socket) => {
      const left = waiting.add(() => socket.getBufferedAmount());
      Object.assign(socket.getUserData(), { left });
    },
    // Whatever comes subscribes.
    message: (socket) => {
      socket.subscribe("all");
      socket.send('{"jsonrpc":"2.0","result":{},"id":1}');
    },
    close: (socket) => /** @type {{ left: () => void }} */ (socket.getUserData()).left(),
  });
  const port = await new Promise((resolve) => {
    app.listen(0, (socket) => resolve(socket ? uWS.us_socket_local_port(socket) : 0));
  });
  return {
    port,
    publish: (count, teams) => {
      const notifications = Array.from({ length: count }, () => {
        const params = {
          epoch: EPOCH,
          seq: ++seq,
          at: new Date().toISOString(),
          topic: "volume",
          action: "changed",
          pool: "tank",
          id: idOf(seq, teams),
        };
        const by = { caller: "1c2cbe832861", requestId: "c11d55af27d4-2", origin: "call" };
        return JSON.stringify({ jsonrpc: "2.0", method: "event", params: { ...params, ...by } });
      });
      app.publish("all", `[${notifications.join(",")}]`);
    },
    mostWaiting: waiting.most,
    cuts: () => 0,
  };
}

/** Looks at some of many numbers in turn. */
function createLook() {
  /** @type {(() => number)[]} */
  const all = [];
  let next = 0;
  return {
    add: (/** @type {() => number} */ read) => {
      all.push(read);
      return () => void all.splice(all.indexOf(read), 1);
    },
    most: () => {
      let most = 0;
      for (let count = Math.min(LOOKED_AT, all.length); count > 0; count--) {
        next = (next + 1) % all.length;
        most = Math.max(most, all[next]?.() ?? 0);
      }
      return most;
    },
  };
}

/** @param {Publisher} publisher @param {{ seconds: number, perTurn: number, rate: number, teams: number }} wanted */
async function run({ publish, mostWaiting, cuts }, { seconds, perTurn, rate, teams }) {
  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 1000;
  const rssMib = () => process.memoryUsage.rss() / MIB;
  const { user, system } = process.cpuUsage();
  /** In MiB, each second. */
  const rss = [rssMib()];
  const timer = setInterval(() => rss.push(rssMib()), 1000);
  let published = 0;
  while (elapsed() < seconds) {
    const count = perTurn || Math.min(MOST_AT_ONCE, Math.floor(elapsed() * rate) - published);
    publish(count, teams);
    published += count;
    if (!perTurn) await sleep(TICK_MS);
    else await nextTurn();
    while (perTurn && mostWaiting() > PACE_BYTES) await sleep(1);
  }
  clearInterval(timer);
  const cpu = process.cpuUsage({ user, system });
  return { published, seconds: elapsed(), cuts: cuts(), rss, cpuSeconds: (cpu.user + cpu.system) / 1e6 };
}

const publisher = await (process.argv[2] === "bare" ? openBare() : openHub());
const control = createServer((request, response) => {
  const query = new URL(request.url ?? "/", "http://x").searchParams;
  const number = (/** @type {string} */ name, otherwise = 0) => Number(query.get(name) ?? otherwise);
  const wanted = {
    seconds: number("seconds"),
    perTurn: number("perTurn"),
    rate: number("rate"),
    teams: number("teams", 1),
  };
  void run(publisher, wanted).then((report) => response.end(JSON.stringify(report)));
});
control.listen(0, "127.0.0.1", () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (control.address());
  process.stdout.write(`${JSON.stringify({ port: publisher.port, control: port })}\n`);
});
process.on("SIGTERM", () => process.kill(process.pid, "SIGKILL"));
