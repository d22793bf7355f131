/**
 * The reset process of src/workers/streams/reset-guard.ts, which says what it is for. It gets
 * connections by its channel, and closes its copy of each by a reset. That sends nothing, since others
 * have the connection too. But it leaves SO_LINGER with no time set on the connection, for all who
 * have it. And it gets process groups, which it ends when the thread that sent them has gone. It is small,
 * so it also starts the command that counts what was sent: a fork of the daemon would stop a thread of it.
 */
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type GuardAnswer, parseGuardOrder } from "./guard-order.js";
import { countSentBytes } from "./sent-bytes.js";

/** As for a cancelled send. */
const TERM_MS = 1_000;

function serve(): void {
  const groups = new Set<number>();

  function signalAll(signal: NodeJS.Signals): void {
    for (const group of groups) {
      try {
        process.kill(-group, signal);
      } catch {
        // It has ended.
        groups.delete(group);
      }
    }
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
    signalAll("SIGTERM");
    if (groups.size > 0) await sleep(TERM_MS);
    signalAll("SIGKILL");
    process.exit(0);
  });
}

serve();
