/** A URL as people may see it in a log: without user, password and query. */
export function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) return "a URL that can't be read";
  const { protocol, host, pathname, search } = new URL(url);
  return `${protocol}//${host}${pathname}${search === "" ? "" : "?…"}`;
}
