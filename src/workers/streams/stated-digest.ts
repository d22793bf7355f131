/** The SHA-256 that the image service states, in hex. Source: RFC 9530 and the older RFC 3230. */
export function statedSha256(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): string | undefined {
  for (const name of ["content-digest", "repr-digest", "digest"]) {
    const value = headers[name];
    const found = /(?:^|[,\s])sha-256=:?([A-Za-z0-9+/]{43}=)/i.exec(String(value ?? ""));
    if (found?.[1]) return Buffer.from(found[1], "base64").toString("hex");
  }
  return undefined;
}
