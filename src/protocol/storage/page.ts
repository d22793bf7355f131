/** Which part of a list is asked for. Without members: all, in the list's own order. */
export interface Page {
  /** At most so many records. */
  readonly limit?: number;
  /** Only records whose id comes after this one, in the order of UTF-16 code units; it need not exist. */
  readonly after?: string;
  /** Only what these patterns cover (protocol/access/name-patterns.ts): what the caller may see. */
  readonly names?: readonly string[];
}

const MAX_SAFE_INTEGER = BigInt(Number.MAX_SAFE_INTEGER);

/** `limit` 0 and `after` "" stand for absent members, as in the requests. */
export function makePage({ limit, after }: { limit: bigint; after: string }): Page {
  const most = limit > MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(limit);
  return { ...(most > 0 ? { limit: most } : {}), ...(after !== "" ? { after } : {}) };
}

export function isWholeList({ limit, after }: Page): boolean {
  return limit === undefined && after === undefined;
}

/**
 * The page of a list, sorted by id; ids are unique. A whole list is returned as it is. It looks once
 * at each record, and never keeps more than two pages of them.
 */
export function pageOf<T>(records: readonly T[], idOf: (record: T) => string, page: Page): readonly T[] {
  if (isWholeList(page)) return records;
  const { limit = Number.POSITIVE_INFINITY, after } = page;
  const kept: T[] = [];
  /** The page has enough records before this id. */
  let end: string | undefined;
  const dropBehindPage = () => {
    kept.sort((one, other) => (idOf(one) < idOf(other) ? -1 : 1));
    if (kept.length > limit) kept.length = limit;
  };
  for (const record of records) {
    const id = idOf(record);
    if ((after !== undefined && id <= after) || (end !== undefined && id >= end)) continue;
    kept.push(record);
    if (kept.length < 2 * limit) continue;
    dropBehindPage();
    const last = kept.at(-1);
    end = last && idOf(last);
  }
  dropBehindPage();
  return kept;
}
