import { createRequire } from "node:module";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { openWithAddon, type SqliteAddon } from "./addon-sqlite.js";
import { hasBuiltinSqlite } from "./builtin-sqlite.js";
import type { Sqlite } from "./sqlite.js";
import { openOnThread } from "./threaded-sqlite.js";

/** No SQLite can be loaded. */
class SqliteMissing extends Error {
  override readonly name = "SqliteMissing";
  readonly code = "ERR_SQLITE_MISSING";
}

/**
 * Opens a file, or creates it: with the package sqlite3 where its binary is there and loads, else
 * with the SQLite of Node 22.13 and newer. Both read and write the same files.
 * Rejects with an error that has SQLite's code, or with ERR_SQLITE_MISSING, which says what to run.
 */
export async function openSqlite(path: string): Promise<Sqlite> {
  const addon = loadAddon();
  if (typeof addon !== "string") return openWithAddon(addon, path);
  if (hasBuiltinSqlite()) return openOnThread(path);
  throw new SqliteMissing(
    `no SQLite can be loaded: the package sqlite3 can't be loaded (${addon}), and Node ${process.versions.node} has none of its own. Use Node 22.13 or newer, or install imagestore again where there is a C++ compiler (Debian: apt install g++ make python3)`,
  );
}

/** The SQLite that `openSqlite` opens files with: `3.52.0 (package sqlite3)`, or `3.50.4 (of Node)`. */
export function sqliteVersion(): string {
  const addon = loadAddon();
  return typeof addon === "string"
    ? `${process.versions.sqlite ?? "none"} (of Node)`
    : `${addon.VERSION} (package sqlite3)`;
}

/** @returns the package, or why it can't be loaded. */
function loadAddon(): SqliteAddon | string {
  try {
    return createRequire(import.meta.url)("sqlite3");
  } catch (error) {
    return messageOf(error).split("\n")[0] ?? "";
  }
}
