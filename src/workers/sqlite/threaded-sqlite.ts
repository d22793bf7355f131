import { Worker } from "node:worker_threads";
import type { Sqlite, SqlRow, SqlValue } from "./sqlite.js";

export interface SqliteThreadData {
  readonly path: string;
}

/** What the thread is asked for, in order. `sql` and `values` are of `all` alone. */
export interface SqliteOrder {
  readonly id: number;
  readonly kind: "open" | "all" | "close";
  readonly sql: string;
  readonly values: readonly SqlValue[];
}

export type SqliteAnswer =
  | { readonly id: number; readonly rows: readonly SqlRow[] }
  | { readonly id: number; readonly error: { readonly message: string; readonly code?: string } };

/** An error that came from the thread. */
class SqliteError extends Error {
  override readonly name = "SqliteError";
  constructor(
    message: string,
    readonly code: string | undefined,
  ) {
    super(message);
  }
}

interface Waiting {
  resolve(rows: readonly SqlRow[]): void;
  reject(error: Error): void;
}

/** Opens a file, or creates it, with Node's own SQLite on a thread of its own. */
export async function openOnThread(path: string): Promise<Sqlite> {
  const thread = new Worker(new URL("../sqlite-thread.js", import.meta.url), {
    workerData: { path } satisfies SqliteThreadData,
    // Node 22 warns that its SQLite is experimental, on stderr, which is the log.
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  /** Orders without an answer, by their id. */
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  /** Why no order is answered any more; undefined while the thread runs. */
  let ended: Error | undefined;

  function end(error: Error): void {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  }
  thread.on("message", (answer: SqliteAnswer) => {
    const order = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ("error" in answer) order?.reject(new SqliteError(answer.error.message, answer.error.code));
    else order?.resolve(answer.rows);
  });
  thread.once("error", end);
  const exited = new Promise<void>((resolve) => {
    thread.once("exit", () => {
      end(new SqliteError("SQLITE_MISUSE: Database handle is closed", "SQLITE_MISUSE"));
      resolve();
    });
  });

  function ask(
    kind: SqliteOrder["kind"],
    sql = "",
    values: readonly SqlValue[] = [],
  ): Promise<readonly SqlRow[]> {
    if (ended) return Promise.reject(ended);
    const id = ++lastId;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      thread.postMessage({ id, kind, sql, values } satisfies SqliteOrder);
    });
  }

  try {
    await ask("open");
  } catch (error) {
    await thread.terminate();
    throw error;
  }
  return {
    run: async (sql, ...values) => void (await ask("all", sql, values)),
    all: (sql, ...values) => ask("all", sql, values),
    close: async () => {
      await ask("close");
      await exited;
    },
  };
}
