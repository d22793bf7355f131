/** What a request asks for, as its first line says. */
export interface RequestTarget {
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  /** Of the absolute form: whom it asks, instead of `Host` (RFC 9112, 3.2.2). */
  readonly host?: string;
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/** Reads the target of a request: `/path?query`, or the absolute form `http://host/path?query`. */
export function parseRequestTarget(target: string): RequestTarget {
  const absolute = ABSOLUTE.exec(target);
  const local = absolute ? target.slice(absolute[0].length) : target;
  const mark = local.indexOf("?");
  const path = mark < 0 ? local : local.slice(0, mark);
  return {
    path: absolute && path === "" ? "/" : path,
    query: mark < 0 ? "" : local.slice(mark + 1),
    ...(absolute && { host: absolute[1] ?? "" }),
  };
}
