import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type ConnectionKey, type ConnectionRow, readConnections } from "./connection-table.js";

/** What the kernel says of a bulk send. */
export interface Look {
  /** What its command has written; undefined: it has no command, or the kernel does not tell. */
  readonly written: number | undefined;
  /** Its connection; undefined where it is gone. "unknown": it was not looked at, or there is no table. */
  readonly connection: ConnectionRow | undefined | "unknown";
}

/** A bulk send under watch. */
export interface Watched {
  readonly key: ConnectionKey;
  /** Of its command, while that runs. */
  readonly pid: number | undefined;
  /** Whether it is to be told of its connection even if the command has written something. */
  readonly wantsConnection: boolean;
  onLook(look: Look): void;
}

/** Looks at all bulk sends now and then. It begins with the first, and rests after the last. */
export interface BulkWatch {
  /** Call the returned function when the send has ended. */
  add(watched: Watched): () => void;
  stop(): void;
}

const SHORTEST_PERIOD_MS = 50;
const LONGEST_PERIOD_MS = 1_000;

/** Of /proc/PID/io: what all threads of the process have written, and its children that it has waited for. */
const WRITTEN = /^wchar: (\d+)$/m;

function writtenIn(text: string): number | undefined {
  const found = WRITTEN.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Undefined where the kernel does not tell: the process has ended, or belongs to another user. */
async function readWritten(pid: number): Promise<number | undefined> {
  return writtenIn(await readFile(`/proc/${pid}/io`, "latin1").catch(() => ""));
}

/** The same, at once: for a process that is about to be waited for. */
export function readWrittenNow(pid: number): number | undefined {
  try {
    return writtenIn(readFileSync(`/proc/${pid}/io`, "latin1"));
  } catch {
    return undefined;
  }
}

/**
 * A command that writes to a client's socket tells nobody how far it is. The kernel does: it counts
 * what a process has written. Only of those that have written nothing since the last look are the
 * connections looked for, as their table has those of the whole machine.
 */
export function createBulkWatch(stalledReaderMs: number): BulkWatch {
  /** With what each had written at the last look. */
  const sends = new Map<Watched, number | undefined>();
  const periodMs = Math.max(SHORTEST_PERIOD_MS, Math.min(LONGEST_PERIOD_MS, stalledReaderMs / 4));
  /** Runs while there are sends. */
  let timer: NodeJS.Timeout | undefined;
  /** While true, the timer's calls do nothing. */
  let isLooking = false;

  async function look(): Promise<void> {
    const looked = [...sends];
    const written = await Promise.all(
      looked.map(([{ pid }]) => (pid === undefined ? undefined : readWritten(pid))),
    );
    const isStill = ([send, before]: (typeof looked)[number], index: number) =>
      send.wantsConnection || written[index] === undefined || written[index] === before;
    const keys = looked.filter(isStill).map(([{ key }]) => key);
    const rows = keys.length > 0 ? await readConnections(keys).catch(() => undefined) : undefined;
    for (const [index, [send]] of looked.entries()) {
      if (!sends.has(send)) continue;
      sends.set(send, written[index]);
      const connection = rows && keys.includes(send.key) ? rows.get(send.key) : "unknown";
      send.onLook({ written: written[index], connection });
    }
  }

  function onTime(): void {
    if (isLooking) return;
    isLooking = true;
    void look().finally(() => {
      isLooking = false;
    });
  }

  const stop = () => {
    clearInterval(timer);
    timer = undefined;
  };
  return {
    add: (watched) => {
      sends.set(watched, undefined);
      timer ??= setInterval(onTime, periodMs);
      return () => {
        sends.delete(watched);
        if (sends.size === 0) stop();
      };
    },
    stop,
  };
}
