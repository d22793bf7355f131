import { createRequire, isBuiltin } from "node:module";
import type { SqlRow, SqlValue } from "./sqlite.js";

/** What is used of `node:sqlite`. Its calls are synchronous. */
interface BuiltinStatement {
  all(...values: SqlValue[]): SqlRow[];
}

export interface BuiltinDatabase {
  prepare(sql: string): BuiltinStatement;
  close(): void;
}

export interface BuiltinSqlite {
  readonly DatabaseSync: new (
    path: string,
    options: {
      readonly enableForeignKeyConstraints: boolean;
      readonly enableDoubleQuotedStringLiterals: boolean;
    },
  ) => BuiltinDatabase;
}

/** Whether this Node has a SQLite: those before 22.13 have none without a flag. Does not load it: Node 22 warns when it does. */
export function hasBuiltinSqlite(): boolean {
  return isBuiltin("node:sqlite");
}

/** Loads Node's own SQLite. Throws where there is none. */
export function loadBuiltinSqlite(): BuiltinSqlite {
  return createRequire(import.meta.url)("node:sqlite");
}

/** The low byte of a code of SQLite, by its number. Source: sqlite3.h. */
const CODES: readonly string[] = [
  "OK",
  "ERROR",
  "INTERNAL",
  "PERM",
  "ABORT",
  "BUSY",
  "LOCKED",
  "NOMEM",
  "READONLY",
  "INTERRUPT",
  "IOERR",
  "CORRUPT",
  "NOTFOUND",
  "FULL",
  "CANTOPEN",
  "PROTOCOL",
  "EMPTY",
  "SCHEMA",
  "TOOBIG",
  "CONSTRAINT",
  "MISMATCH",
  "MISUSE",
  "NOLFS",
  "AUTH",
  "FORMAT",
  "RANGE",
  "NOTADB",
];

/** An error of SQLite as the package sqlite3 has it: the code is a name, and the message begins with it. */
export function describeSqliteError(error: unknown): { readonly message: string; readonly code?: string } {
  if (!(error instanceof Error)) return { message: String(error) };
  const number = "errcode" in error && typeof error.errcode === "number" ? error.errcode : undefined;
  const name = number === undefined ? undefined : CODES[number & 0xff];
  if (name === undefined) return { message: error.message };
  const code = `SQLITE_${name}`;
  return { message: `${code}: ${error.message}`, code };
}
