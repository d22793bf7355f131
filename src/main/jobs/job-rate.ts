/** How fast a job moves bytes, of samples that are taken now and then. */
export interface JobRate {
  /** `bytes` is the sum so far, `now` in ms. */
  sample(bytes: number, now: number): void;
  /** Bytes a second, of the last seconds; undefined before the second sample. */
  readonly perSecond: number | undefined;
}

/** A sample of this age counts for a third of a new one. */
const MEMORY_MS = 3_000;

export function createJobRate(): JobRate {
  let last: { readonly bytes: number; readonly at: number } | undefined;
  let perSecond: number | undefined;
  return {
    sample: (bytes, now) => {
      if (last && now > last.at) {
        const passedMs = now - last.at;
        const current = (Math.max(0, bytes - last.bytes) * 1_000) / passedMs;
        // An average in which the weight of a sample falls with its age, however far apart they are.
        const kept = perSecond === undefined ? 0 : Math.exp(-passedMs / MEMORY_MS);
        perSecond = kept * (perSecond ?? 0) + (1 - kept) * current;
      }
      if (last === undefined || now > last.at) last = { bytes, at: now };
    },
    get perSecond() {
      return perSecond;
    },
  };
}
