/**
 * The reset process of src/workers/streams/reset-guard.ts, which says what it is for. It gets
 * connections by its channel, and closes its copy of each by a reset. That sends nothing, since others
 * have the connection too. But it leaves SO_LINGER with no time set on the connection, for all who
 * have it. It is small, so it also starts the sends, and the command that counts what was sent: a fork of
 * the daemon would stop all of its threads. When the thread that it belongs to has gone, it ends what it has started,
 * the process groups that it was told of, and what has its mark: the thread may have gone before it could tell.
 */
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createChildMemory, createChildTable } from "../../protocol/threads/child-table.js";
import type { CommandProcess } from "../processes/child-process.js";
import { type GuardAnswer, type GuardedEnd, type GuardOrder, parseGuardOrder } from "./guard-order.js";
import { findMarked, markedEnvironment } from "./marked-processes.js";
import { countSentBytes } from "./sent-bytes.js";
import { startSend } from "./started-send.js";

/** As for a cancelled send. */
const TERM_MS = 1_000;

// Nobody reads this table.
const children = createChildTable(createChildMemory());

function serve(mark: string): void {
  const groups = new Set<number>();
  /** The sends that run here, by the id of their orders. */
  const sends = new Map<number, CommandProcess>();

  /** @returns how many it has reached. */
  function signalAll(signal: NodeJS.Signals): number {
    const own = [...sends.values()].flatMap(({ pid }) => (pid === undefined ? [] : [-pid]));
    const targets = [...own, ...Array.from(groups, (group) => -group), ...findMarked(mark)];
    return targets.filter((target) => {
      try {
        return process.kill(target, signal);
      } catch {
        // It has ended.
        return false;
      }
    }).length;
  }

  function tell(message: GuardAnswer | GuardedEnd): void {
    if (process.connected) process.send?.(message);
  }

  async function start({ id, argv }: Extract<GuardOrder, { kind: "start" }>, socket: Socket | undefined) {
    if (!socket) {
      // The connection was gone before it came here: what a command would have met.
      tell({ id, value: null });
      return tell({ id, exit: { kind: "signalled", signal: "SIGPIPE" }, stderr: "", written: null });
    }
    const { command, ended } = startSend(argv, socket, markedEnvironment(mark), children);
    sends.set(id, command);
    tell({ id, value: command.pid ?? null });
    const { exit, stderr, written = null } = await ended;
    sends.delete(id);
    tell({ id, exit, stderr, written });
  }

  process.on("message", (message, handle) => {
    const order = parseGuardOrder(message);
    const socket = handle instanceof Socket ? handle : undefined;
    switch (order?.kind) {
      case "end-with-us":
        groups.add(order.group);
        break;
      case "ended":
        groups.delete(order.group);
        break;
      case "count":
        void countSentBytes(order.ends).then((sent) => tell({ id: order.id, value: sent ?? null }));
        break;
      case "ping":
        tell({ id: order.id, value: true });
        break;
      case "kill":
        sends.get(order.id)?.kill();
        break;
      case "start":
        void start(order, socket);
        break;
      case "reset":
        // Without one: the connection was gone before it came here.
        tell({ id: order.id, value: socket !== undefined });
    }
    socket?.on("error", () => {}).resetAndDestroy();
  });
  process.once("disconnect", async () => {
    if (signalAll("SIGTERM") > 0) await sleep(TERM_MS);
    signalAll("SIGKILL");
    process.exit(0);
  });
}

serve(process.argv[2] ?? "");
