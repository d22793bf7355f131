import type { Zevent } from "./zevent-text.js";

/** Keeps account of which events of the kernel have been seen, by their numbers, which have no gaps. */
export interface ZeventOrder {
  /**
   * Goes on with a list of all that the kernel still has. @returns those that are new; `isWhole`: none is lost between
   * them and the last one that was seen. The first list gives none, and is not whole.
   */
  resume(listed: readonly Zevent[]): { readonly fresh: readonly Zevent[]; readonly isWhole: boolean };
  /** @returns whether it is new. */
  take(event: Zevent): boolean;
  /** Whether events were lost since it was asked last. Two that are posted at once may come in either order. */
  findLoss(): boolean;
}

/** So many that are late are waited for. */
const MOST_LATE = 64;
/** How long one may be late. */
const LATE_MS = 1_000;

export function createZeventOrder(): ZeventOrder {
  /** The newest that was seen; undefined: none. */
  let last: Pick<Zevent, "eid" | "time"> | undefined;
  /** Numbers below that have not been seen, and since when. */
  const late = new Map<number, number>();
  let isLost = false;
  /** Since the list, only what it had has come once more. */
  let isRepeating = false;

  function take(event: Zevent): boolean {
    if (last && event.eid <= last.eid) {
      if (isRepeating || last.eid - event.eid <= MOST_LATE) return late.delete(event.eid);
      // The kernel never goes back so far. The number before was text of a property that looks like an event.
      isLost = true;
      late.clear();
      last = event;
      return true;
    }
    isRepeating = false;
    const now = performance.now();
    const first = (last?.eid ?? event.eid - 1) + 1;
    if (event.eid - first + late.size > MOST_LATE) isLost = true;
    else for (let eid = first; eid < event.eid; eid++) late.set(eid, now);
    last = event;
    return true;
  }

  return {
    take,
    resume: (listed) => {
      const begin = last;
      isRepeating = true;
      const same = begin && listed.find(({ eid }) => eid === begin.eid);
      const oldest = Math.min(...listed.map(({ eid }) => eid));
      // The number alone does not tell: after a reboot they count from 1 again.
      const isWhole = begin !== undefined && (same ? same.time === begin.time : oldest === begin.eid + 1);
      const fresh = isWhole ? listed.filter(take) : [];
      isRepeating = true;
      if (isWhole) return { fresh, isWhole };
      late.clear();
      const isLater = (one: number, other: number) => one > other && one - other <= MOST_LATE;
      last = listed.reduce<typeof last>(
        (newest, each) => (newest && isLater(newest.eid, each.eid) ? newest : each),
        undefined,
      );
      return { fresh, isWhole };
    },
    findLoss: () => {
      const limit = performance.now() - LATE_MS;
      const lost = isLost || [...late.values()].some((since) => since < limit);
      if (lost) late.clear();
      isLost = false;
      return lost;
    },
  };
}
