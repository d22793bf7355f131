/** Which part of a list is asked for. Without members: all, in the list's own order. */
export interface Page {
  /** At most so many records. */
  readonly limit?: number;
  /** Only records whose id comes after this one, in the order of UTF-16 code units; it need not exist. */
  readonly after?: string;
}

/** `limit` 0 and `after` "" stand for absent members, as in the requests. */
export function makePage({ limit, after }: { limit: bigint; after: string }): Page {
  const most = limit > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(limit);
  return { ...(most > 0 ? { limit: most } : {}), ...(after !== "" ? { after } : {}) };
}

/** The page of a list, sorted by id. The whole list stays as it is. */
export function pageOf<T>(
  records: readonly T[],
  idOf: (record: T) => string,
  { limit, after }: Page,
): readonly T[] {
  if (limit === undefined && after === undefined) return records;
  const rest = after === undefined ? [...records] : records.filter((record) => idOf(record) > after);
  rest.sort((one, other) => (idOf(one) < idOf(other) ? -1 : 1));
  return rest.slice(0, limit);
}
