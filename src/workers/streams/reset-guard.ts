import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { endGroup } from "../processes/child-process.js";
import type { ConnectionEnds } from "./connection-table.js";
import { type GuardAnswer, type GuardOrder, parseGuardAnswer, parseGuardedEnd } from "./guard-order.js";
import { createGuardedSends, type SendProcess } from "./guarded-sends.js";
import { findMarked, markedEnvironment } from "./marked-processes.js";

/** Sees to it that connections end by a reset unless they are shut down in order. */
export interface ResetGuard {
  /**
   * From then on the connection is reset when the last process that has it closes it or is killed,
   * unless it was shut down and its client has closed it too. @returns whether that is so now.
   */
  guard(socket: Socket): Promise<boolean>;
  /** Starts a command whose stdout is the connection, and which ends when this thread ends, however it does. */
  start(argv: readonly string[], socket: Socket): SendProcess;
  /** What other commands must have that are to end with this thread before `endWithUs` knows them. */
  readonly environment: NodeJS.ProcessEnv;
  /**
   * Has a process group ended when this thread ends, however it does. Call the returned function
   * when it has ended by itself.
   */
  endWithUs(group: number): () => void;
  /**
   * What was written to a connection that is open still, and to which nobody writes any more: by all
   * processes together. Undefined where that can't be told for sure.
   */
  countSent(socket: ConnectionEnds): Promise<number | undefined>;
  stop(): void;
}

/**
 * How long the reset process may take for an answer. It takes a millisecond, some tens where it starts a
 * command, and 80 ms for its own start.
 */
const LIMIT_MS = 5_000;

/**
 * The end of a bulk download tells whether it is whole, and nobody may be left to end it: a thread
 * that crashed, a daemon and a `zfs send` that were killed together. Then the kernel closes the
 * connection, and its way is a clean end, unless SO_LINGER is set with no time. Node can set that
 * only in closing a socket. So a process of ours closes a copy of it (docs/decisions/bulk.md). It
 * serves all bulk downloads, runs their sends, and ends with this thread, whose sends it ends then: they write to
 * nobody who would tell them. One that has died is started again. The sends that it ran end with it.
 */
export function createResetGuard(children: ChildTable): ResetGuard {
  /** By which commands are found whose pid was not told: who knew it was killed in between. */
  const mark = `${process.pid}-${randomBytes(8).toString("hex")}`;
  /** What settles the calls that the newest process has not answered. */
  const pending = new Map<number, (value: GuardAnswer["value"]) => void>();
  const sends = createGuardedSends({
    children,
    ask,
    tell: (order) => {
      if (helper) tell(helper, order);
    },
  });
  /** Process groups of this thread's own that have not ended. */
  const groups = new Set<number>();
  let lastId = 0;
  /** Once true, no process is started. */
  let isStopped = false;

  function giveUp(ended: ChildProcess): void {
    if (helper !== ended) return;
    helper = undefined;
    for (const settle of pending.values()) settle(null);
    const isUnknownLeft = sends.lose();
    if (isUnknownLeft) for (const pid of findMarked(mark)) if (!groups.has(pid)) endGroup(pid);
  }

  function onMessage(message: unknown): void {
    const end = parseGuardedEnd(message);
    if (end) return sends.onEnd(end);
    const answer = parseGuardAnswer(message);
    if (answer) pending.get(answer.id)?.(answer.value);
  }

  function start(): ChildProcess {
    const script = fileURLToPath(new URL("./reset-process.js", import.meta.url));
    const started = fork(script, [mark], { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const release = children.add(started.pid);
    started.on("message", onMessage);
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

  /** Null: it was not answered. */
  function ask(
    orderOf: (id: number) => GuardOrder,
    socket?: Socket,
    limitMs = LIMIT_MS,
  ): Promise<GuardAnswer["value"]> {
    if (isStopped) return Promise.resolve(null);
    helper ??= start();
    const asked = helper;
    const id = ++lastId;
    return new Promise((resolve) => {
      const settle = (value: GuardAnswer["value"]) => {
        clearTimeout(timer);
        pending.delete(id);
        resolve(value);
      };
      const timer = setTimeout(() => {
        settle(null);
        // It hangs: the next call starts another one.
        asked.kill("SIGKILL");
        giveUp(asked);
      }, limitMs);
      pending.set(id, settle);
      asked.send(orderOf(id), socket, { keepOpen: true }, (error) => {
        if (error) settle(null);
      });
    });
  }

  return {
    environment: markedEnvironment(mark),
    start: sends.start,
    guard: async (socket) => (await ask((id) => ({ kind: "reset", id }), socket)) === true,
    countSent: async ({ localAddress, localPort, remoteAddress, remotePort }) => {
      if (localAddress === undefined || localPort === undefined) return undefined;
      if (remoteAddress === undefined || remotePort === undefined) return undefined;
      const ends = { localAddress, localPort, remoteAddress, remotePort };
      const sent = await ask((id) => ({ kind: "count", id, ends }));
      return typeof sent === "number" ? sent : undefined;
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
