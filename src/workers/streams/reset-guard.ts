import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import type { GuardOrder } from "./guard-order.js";

/** Sees to it that connections end by a reset unless they are shut down in order. */
export interface ResetGuard {
  /**
   * From then on the connection is reset when the last process that has it closes it or is killed,
   * unless it was shut down and its client has closed it too. @returns whether that is so now.
   */
  guard(socket: Socket): Promise<boolean>;
  /**
   * Has a process group ended when this thread ends, however it does. Call the returned function
   * when it has ended by itself.
   */
  endWithUs(group: number): () => void;
  stop(): void;
}

/** How long the reset process may take for a connection. It takes a millisecond, and 80 ms for its start. */
const LIMIT_MS = 5_000;

/**
 * The end of a bulk download tells whether it is whole, and nobody may be left to end it: a thread
 * that crashed, a daemon and a `zfs send` that were killed together. Then the kernel closes the
 * connection, and its way is a clean end, unless SO_LINGER is set with no time. Node can set that
 * only in closing a socket. So a process of ours closes a copy of it (docs/decisions/bulk.md). It
 * serves all bulk downloads, and ends with this thread, whose sends it ends then: they write to
 * nobody who would tell them. One that has died is started again.
 */
export function createResetGuard(children: ChildTable): ResetGuard {
  /** What settles the calls that the newest process has not answered. */
  const pending = new Map<number, (isGuarded: boolean) => void>();
  /** Process groups that have not ended. */
  const groups = new Set<number>();
  let lastId = 0;
  /** Once true, no process is started. */
  let isStopped = false;

  function giveUp(ended: ChildProcess): void {
    if (helper !== ended) return;
    helper = undefined;
    for (const settle of pending.values()) settle(false);
  }

  function start(): ChildProcess {
    const script = fileURLToPath(new URL("./reset-process.js", import.meta.url));
    const started = fork(script, [], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const release = children.add(started.pid);
    started.on("message", (answer) => {
      const id = Number(answer);
      pending.get(Math.abs(id))?.(id > 0);
    });
    started.once("error", () => giveUp(started));
    for (const group of groups) tell(started, { kind: "end-with-us", group });
    started.once("exit", () => {
      release();
      giveUp(started);
    });
    return started;
  }

  const tell = (asked: ChildProcess, order: GuardOrder) => asked.send(order, () => {});
  /** The newest reset process; undefined once it has ended. The first starts at once: nobody waits for it. */
  let helper: ChildProcess | undefined = start();

  return {
    guard: (socket) => {
      if (isStopped) return Promise.resolve(false);
      helper ??= start();
      const asked = helper;
      const id = ++lastId;
      return new Promise<boolean>((resolve) => {
        const settle = (isGuarded: boolean) => {
          clearTimeout(timer);
          pending.delete(id);
          resolve(isGuarded);
        };
        const timer = setTimeout(() => {
          settle(false);
          // It hangs: the next call starts another one.
          asked.kill("SIGKILL");
          giveUp(asked);
        }, LIMIT_MS);
        pending.set(id, settle);
        const order: GuardOrder = { kind: "reset", id };
        asked.send(order, socket, { keepOpen: true }, (error) => {
          if (error) settle(false);
        });
      });
    },
    endWithUs: (group) => {
      groups.add(group);
      if (helper) tell(helper, { kind: "end-with-us", group });
      return () => {
        groups.delete(group);
        if (helper) tell(helper, { kind: "ended", group });
      };
    },
    stop: () => {
      isStopped = true;
      helper?.disconnect();
    },
  };
}
