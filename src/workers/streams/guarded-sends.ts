import type { Socket } from "node:net";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { endGroup } from "../processes/child-process.js";
import type { CommandEnd } from "../processes/run-command.js";
import type { GuardAnswer, GuardedEnd, GuardOrder } from "./guard-order.js";

/** How a send has ended. */
export interface SendEnd {
  /** `lost`: the process that ran it is gone. */
  readonly exit: CommandEnd["exit"];
  readonly stderr: string;
  /** What it has written in all, as the kernel counts it; undefined where it does not tell. */
  readonly written: number | undefined;
}

/** A command that writes to a connection, in a process group of its own. */
export interface SendProcess {
  /** Undefined until it has begun, and if it could not be started. */
  readonly pid: number | undefined;
  /** Resolves when it runs, or is known not to. Never rejects. */
  readonly begun: Promise<void>;
  /** Never rejects. */
  readonly ended: Promise<SendEnd>;
  /** Ends its group. */
  kill(): void;
}

/** The sends that the reset process runs. */
export interface GuardedSends {
  start(argv: readonly string[], socket: Socket): SendProcess;
  onEnd(end: GuardedEnd): void;
  /** That process is gone, or is given up. @returns whether one may run of which no pid is known. */
  lose(): boolean;
}

interface GuardedSendsOptions {
  readonly children: ChildTable;
  /** Null: it was not answered. `orderOf` is not called once nothing is asked any more. */
  ask(orderOf: (id: number) => GuardOrder, socket?: Socket, limitMs?: number): Promise<GuardAnswer["value"]>;
  tell(order: GuardOrder): void;
}

/** One that has not ended. */
interface Running {
  pid: number | undefined;
  finish(end: SendEnd): void;
}

/** How often the process is asked whether it lives, while it runs sends whose ends it has to tell. */
const PING_MS = 5_000;
/** How long it may take for that on a busy machine. */
const PING_LIMIT_MS = 10_000;
/** How long the end of a send may take that has not begun. */
const END_MS = 5_000;

const LOST: SendEnd = { exit: { kind: "lost" }, stderr: "", written: undefined };

export function createGuardedSends({ children, ask, tell }: GuardedSendsOptions): GuardedSends {
  /** By the ids of the orders that have started them. */
  const running = new Map<number, Running>();
  /** Runs while there are sends. */
  let pings: NodeJS.Timeout | undefined;
  const ping = () => void ask((id) => ({ kind: "ping", id }), undefined, PING_LIMIT_MS);

  return {
    start: (argv, socket) => {
      let id = 0;
      let release = () => {};
      let settle: (end: SendEnd) => void = () => {};
      const ended = new Promise<SendEnd>((resolve) => {
        settle = resolve;
      });
      const send: Running = {
        pid: undefined,
        finish: (end) => {
          running.delete(id);
          if (running.size === 0) {
            clearInterval(pings);
            pings = undefined;
          }
          release();
          settle(end);
        },
      };
      const orderOf = (newId: number) => {
        id = newId;
        running.set(id, send);
        pings ??= setInterval(ping, PING_MS);
        return { kind: "start", id, argv } as const;
      };
      const begun = ask(orderOf, socket).then((pid) => {
        if (typeof pid === "number") {
          send.pid = pid;
          if (running.has(id)) release = children.addGroup(pid);
        } else if (id === 0) send.finish(LOST);
        // Why it has not begun follows at once, but where it could not even be asked.
        else setTimeout(send.finish, END_MS, LOST).unref();
      });
      return {
        get pid() {
          return send.pid;
        },
        begun,
        ended,
        kill: () => {
          if (running.has(id)) tell({ kind: "kill", id });
        },
      };
    },
    onEnd: ({ id, exit, stderr, written }) => {
      running.get(id)?.finish({ exit, stderr, written: written ?? undefined });
    },
    lose: () => {
      const lost = [...running.values()];
      for (const { pid, finish } of lost) {
        if (pid !== undefined) endGroup(pid);
        finish(LOST);
      }
      return lost.some(({ pid }) => pid === undefined);
    },
  };
}
