/** The code of an error of Node, zlib or undici, such as `ENOENT` or `UND_ERR_SOCKET`; empty without one. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
