export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/**
 * An open SQLite file. Statements run one after the other, in the order of the calls; each rejects
 * with an error whose `code` is SQLite's own name of it, as `SQLITE_BUSY`.
 */
export interface Sqlite {
  run(sql: string, ...values: SqlValue[]): Promise<void>;
  all(sql: string, ...values: SqlValue[]): Promise<readonly SqlRow[]>;
  close(): Promise<void>;
}

/** How long to wait for a lock: the connection of a crashed thread may need a moment to close. */
export const BUSY_TIMEOUT_MS = 2_000;
