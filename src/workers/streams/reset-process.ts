/**
 * The reset process of src/workers/streams/reset-guard.ts, which says what it is for. It gets
 * connections by its channel, and closes its copy of each by a reset. That sends nothing, since others
 * have the connection too. But it leaves SO_LINGER with no time set on the connection, for all who
 * have it. And it gets process groups, which it ends when the thread that sent them has gone, with what
 * has its mark: the thread may have gone before it could tell. It is small, so it also starts the
 * command that counts what was sent: a fork of the daemon would stop a thread of it.
 */
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type GuardAnswer, parseGuardOrder } from "./guard-order.js";
import { findMarked } from "./marked-processes.js";
import { countSentBytes } from "./sent-bytes.js";

/** As for a cancelled send. */
const TERM_MS = 1_000;

function serve(mark: string): void {
  const groups = new Set<number>();

  /** @returns how many it has reached. */
  function signalAll(signal: NodeJS.Signals): number {
    const targets = [...Array.from(groups, (group) => -group), ...findMarked(mark)];
    return targets.filter((target) => {
      try {
        return process.kill(target, signal);
      } catch {
        // It has ended.
        return false;
      }
    }).length;
  }

  function answer(id: number, value: GuardAnswer["value"]): void {
    if (process.connected) process.send?.({ id, value } satisfies GuardAnswer);
  }

  process.on("message", (message, socket) => {
    const order = parseGuardOrder(message);
    if (order?.kind === "end-with-us") groups.add(order.group);
    if (order?.kind === "ended") groups.delete(order.group);
    if (order?.kind === "count")
      void countSentBytes(order.ends).then((sent) => answer(order.id, sent ?? null));
    if (order?.kind !== "reset") return;
    const hasCome = socket instanceof Socket;
    if (hasCome) socket.on("error", () => {}).resetAndDestroy();
    // Without one: the connection was gone before it came here.
    answer(order.id, hasCome);
  });
  process.once("disconnect", async () => {
    if (signalAll("SIGTERM") > 0) await sleep(TERM_MS);
    signalAll("SIGKILL");
    process.exit(0);
  });
}

serve(process.argv[2] ?? "");
