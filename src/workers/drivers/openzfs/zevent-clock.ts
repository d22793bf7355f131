/** Tells when events were posted, by performance.now() of this process. */
export interface ZeventClock {
  /**
   * @param time as the kernel printed it, whose clock may be another machine's.
   * @returns a little after it was posted, at most by what the fastest of the newest events took to get here; and never
   * later than now.
   */
  postedAt(time: string): number;
}

/** The clocks may drift, and be set: what is older than two of these does not count. */
const WINDOW_MS = 60_000;

/** Seconds and nanoseconds. */
const TIME = /^0x([0-9a-f]+) 0x([0-9a-f]+)/;

export function createZeventClock(): ZeventClock {
  /** The least difference of the clocks that was seen in the newest window, and in the one before. */
  let least = Number.POSITIVE_INFINITY;
  let leastBefore = Number.POSITIVE_INFINITY;
  let windowAt = Number.NEGATIVE_INFINITY;
  return {
    postedAt: (time) => {
      const now = performance.now();
      const [, seconds, nanoseconds] = TIME.exec(time) ?? [];
      if (seconds === undefined || nanoseconds === undefined) return now;
      const kernelMs = Number.parseInt(seconds, 16) * 1_000 + Number.parseInt(nanoseconds, 16) / 1e6;
      if (now - windowAt >= WINDOW_MS) {
        leastBefore = least;
        least = Number.POSITIVE_INFINITY;
        windowAt = now;
      }
      least = Math.min(least, now - kernelMs);
      return kernelMs + Math.min(least, leastBefore);
    },
  };
}
