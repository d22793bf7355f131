import { type ReadonlySignal, signal } from "@preact/signals";
import type { Failure, Outcome } from "../api/client.ts";

/** Records of a page: the daemon makes a page of so many in some milliseconds. */
const PAGE = 1_000;

export interface ListState<Row> {
  /** By id, byte by byte, as the daemon sorts pages. */
  readonly rows: readonly Row[];
  readonly isLoading: boolean;
  /** Whether the rows are all that there are. */
  readonly isComplete: boolean;
  readonly failure: Failure | undefined;
}

/** A list that is asked for in pages, and kept up to date row by row. */
export interface PagedList<Row> {
  readonly state: ReadonlySignal<ListState<Row>>;
  /** Asks for all of it. What is shown stays until the new rows are there. */
  load(): Promise<void>;
  put(rows: readonly Row[]): void;
  remove(isGone: (id: string) => boolean): void;
  /** Forgets the rows: another list is to be shown. */
  clear(): void;
}

type FetchPage<Row> = (page: {
  readonly limit: number;
  readonly after: string;
}) => Promise<Outcome<readonly Row[]>>;

const EMPTY = { rows: [], isLoading: false, isComplete: false, failure: undefined };

/** By code points, which is the order of their bytes in UTF-8 for all names that zfs allows. */
const byId = (a: { readonly id: string }, b: { readonly id: string }) =>
  a.id < b.id ? -1 : Number(a.id > b.id);

export function createPagedList<Row extends { readonly id: string }>(
  fetchPage: FetchPage<Row>,
): PagedList<Row> {
  const state = signal<ListState<Row>>(EMPTY);
  /** Counts the loads: pages of one that was overtaken are dropped. */
  let load = 0;

  async function loadAll(): Promise<void> {
    const own = ++load;
    const isFirst = !state.value.isComplete;
    let rows: readonly Row[] = [];
    state.value = { ...state.value, isLoading: true, failure: undefined };
    for (;;) {
      const page = await fetchPage({ limit: PAGE, after: rows.at(-1)?.id ?? "" });
      if (own !== load) return;
      if (!page.ok) {
        state.value = { ...state.value, isLoading: false, failure: page.failure };
        return;
      }
      rows = [...rows, ...page.value];
      if (page.value.length < PAGE) break;
      // At first, each page is better than nothing.
      if (isFirst) state.value = { rows, isLoading: true, isComplete: false, failure: undefined };
    }
    state.value = { rows, isLoading: false, isComplete: true, failure: undefined };
  }

  return {
    state,
    load: loadAll,
    put: (changed) => {
      const ids = new Set(changed.map(({ id }) => id));
      const kept = state.value.rows.filter(({ id }) => !ids.has(id));
      state.value = { ...state.value, rows: [...kept, ...changed].sort(byId) };
    },
    remove: (isGone) => {
      const rows = state.value.rows.filter(({ id }) => !isGone(id));
      if (rows.length < state.value.rows.length) state.value = { ...state.value, rows };
    },
    clear: () => {
      load++;
      state.value = EMPTY;
    },
  };
}
