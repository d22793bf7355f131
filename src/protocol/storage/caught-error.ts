/** The code of an error of Node, zlib, undici or SQLite, such as `ENOENT` or `SQLITE_BUSY`; empty without one. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
