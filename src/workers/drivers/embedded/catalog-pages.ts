import type { Selection } from "../driver.js";
import type { CatalogIndex } from "./catalog-index.js";
import type { Dataset } from "./dataset.js";

/** Pages of the datasets of an index. */
export interface CatalogPages {
  /**
   * What is selected of the datasets of a type that lie below `root`. Costs as much as the page is
   * long, but for the first call, which sorts all names of the type.
   */
  pageBelow(root: string, type: Dataset["type"], selection: Selection): readonly Dataset[];
  /** How many datasets of a type there are. */
  countOf(type: Dataset["type"]): number;
}

export function pagesIn(index: Pick<CatalogIndex, "find" | "sortedNames" | "countOf">): CatalogPages {
  /** What a page may have, in its order. */
  function* namesBelow(root: string, type: Dataset["type"], after: string | undefined): Iterable<string> {
    // What comes right behind a name in the order of code units.
    const behind = after === undefined ? "" : `${after}\0`;
    // Each of the two stands together in the order, this one first.
    for (const prefix of [`${root}/`, `${root}@`]) {
      const isAmong = behind.startsWith(prefix);
      if (!isAmong && behind > prefix) continue;
      for (const name of index.sortedNames(type).from(isAmong ? behind : prefix)) {
        if (!name.startsWith(prefix)) break;
        yield name;
      }
    }
  }

  return {
    countOf: index.countOf,
    pageBelow(root, type, { page: { limit = Number.POSITIVE_INFINITY, after }, isShown }) {
      const found: Dataset[] = [];
      for (const name of namesBelow(root, type, after)) {
        const dataset = index.find(name);
        if (!dataset || !isShown(dataset)) continue;
        found.push(dataset);
        if (found.length >= limit) break;
      }
      return found;
    },
  };
}
