/** A number of places for work that may run at once; what finds none waits in the order it came. */
export interface Slots {
  /** Runs `work` in a slot, as soon as one is free. */
  use<T>(work: () => Promise<T>): Promise<T>;
  /** Slots in use. */
  readonly used: number;
  /** Work that waits for a slot. */
  readonly waiting: number;
}

export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  let used = 0;
  return {
    get used() {
      return used;
    },
    get waiting() {
      return waiting.length;
    },
    use: async (work) => {
      if (used < count) used++;
      else await new Promise<void>((start) => waiting.push(start));
      try {
        return await work();
      } finally {
        // The slot passes from hand to hand: whoever comes now must not overtake who waits.
        const next = waiting.shift();
        if (next) next();
        else used--;
      }
    },
  };
}
