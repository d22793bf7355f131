import { readdir, readFile } from "node:fs/promises";
import type { Server, Socket } from "node:net";
import { refuseAll } from "../../protocol/http/refusal.js";

/** How often the connections are counted. */
const COUNT_MS = 200;
/** Below this part of the limit, the descriptors of the process show that there are few enough. */
const NEARLY_FULL = 0.5;
/** Connections are accepted again when they are fewer than this part of the limit. */
const FEW_AGAIN = 0.9;

export interface ConnectionWatchOptions {
  readonly host: string;
  readonly port: number;
  readonly limit: number;
  /** Begins to listen, or stops it. */
  listen(): Promise<void>;
  stopListening(): void;
  /** Answers a connection that is one too many. */
  refuse(socket: Socket): void;
}

export interface ConnectionWatch {
  /** Stops listening and begins anew, unless there are too many connections. If that fails, it is tried again. */
  restart(): Promise<void>;
  /** No listener is opened or closed from then on, and none of ours is open. */
  stop(): void;
}

/**
 * Keeps the connections of a listener of uWebSockets.js below a limit. The module tells neither that
 * one was opened nor lets us refuse it. So they are counted now and then: while there are too many,
 * another listener has the port, which answers 503. Until the next count there can be more.
 */
export function watchConnections(options: ConnectionWatchOptions): ConnectionWatch {
  const { port, limit } = options;
  /** Has the port while there are too many connections. */
  let refusing: Server | undefined;
  /** Whether the module listens. Not while `refusing` is set. */
  let isListening = true;
  /** Once true it stays so. */
  let isStopped = false;
  let timer = setTimeout(check, COUNT_MS);
  timer.unref();

  async function check(): Promise<void> {
    const open = await countConnections(port, limit * NEARLY_FULL).catch(() => 0);
    if (isStopped) return;
    await (open >= (refusing ? limit * FEW_AGAIN : limit) ? refuse() : accept());
    if (isStopped) return close();
    timer = setTimeout(check, COUNT_MS);
    timer.unref();
  }

  async function refuse(): Promise<void> {
    if (refusing) return;
    options.stopListening();
    isListening = false;
    // Should another process have taken the port, the next check tries again.
    refusing = await refuseAll(options, options.refuse).catch(() => undefined);
  }

  async function accept(): Promise<void> {
    refusing?.close();
    refusing = undefined;
    if (isListening) return;
    isListening = true;
    await options.listen().catch(() => {
      isListening = false;
    });
  }

  function close(): void {
    refusing?.close();
    options.stopListening();
  }

  return {
    restart: async () => {
      if (!isListening || isStopped) return;
      options.stopListening();
      isListening = false;
      await accept();
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
      close();
    },
  };
}

/**
 * The connections to a port of this process. All of its descriptors are counted first, which is
 * cheap: if they are fewer than `exactFrom`, their number is the answer.
 */
export async function countConnections(port: number, exactFrom: number): Promise<number> {
  const descriptors = (await readdir("/proc/self/fd")).length;
  if (descriptors < exactFrom) return 0;
  const tables = await Promise.all(
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map((path) => readFile(path, "latin1").catch(() => "")),
  );
  // `sl local_address rem_address st`, addresses as hex with the port behind a colon; 01: established.
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return tables.flatMap((table) =>
    table.split("\n").filter((line) => {
      const [, address = "", , state] = line.trim().split(/\s+/);
      return state === "01" && address.endsWith(local);
    }),
  ).length;
}
