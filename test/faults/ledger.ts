/** What a client may say of a dataset: it is there, or the outcome of a change of it is unknown. */
export type Knowledge = "there" | "maybe";

interface Entry {
  readonly knowledge: Knowledge;
  /** Later snapshots have larger numbers. */
  readonly since: number;
}

/** A dataset as the pool shows it. */
export interface SeenDataset {
  readonly type: string;
  readonly sizeBytes: number;
}

/** What contradicts the ledger. */
export interface Contradiction {
  /** `missing`: acknowledged and gone. `back`: deleted or refused, and there. `torn`: half of what is all or nothing. */
  readonly kind: "missing" | "back" | "torn";
  readonly name: string;
}

/**
 * The datasets of one client, as its answers tell. Names are relative to the pool. A client does
 * one thing after the other, and nobody else changes its datasets.
 */
export interface Ledger {
  has(name: string): boolean;
  knows(name: string): Knowledge | undefined;
  /** The names that satisfy `wanted`, in order. */
  names(wanted: (name: string) => boolean): string[];
  /** The tags of a volume's snapshots, oldest first. */
  tagsOf(volume: string): string[];
  put(name: string, knowledge: Knowledge): void;
  /** Datasets were deleted, or `maybe` were. */
  drop(names: readonly string[], knowledge: "gone" | "maybe"): void;
  /** These came to be in one step or not at all, and nobody knows. */
  tie(names: readonly string[]): void;
  /** Compares with the pool, and then takes what it shows for known. */
  settle(seen: ReadonlyMap<string, SeenDataset>, isMine: (name: string) => boolean): Contradiction[];
}

export function isWithin(name: string, root: string): boolean {
  return name === root || name.startsWith(`${root}/`) || name.startsWith(`${root}@`);
}

export function createLedger(): Ledger {
  const entries = new Map<string, Entry>();
  /** Groups of names that are all there, or none. */
  let ties: (readonly string[])[] = [];
  let clock = 0;

  /** After another call nobody expects the group of this name to be whole. */
  function untie(name: string): void {
    ties = ties.filter((tied) => !tied.includes(name));
  }

  return {
    has: (name) => entries.has(name),
    knows: (name) => entries.get(name)?.knowledge,
    names: (wanted) => [...entries.keys()].filter(wanted).sort(),
    tagsOf: (volume) =>
      [...entries]
        .filter(([name]) => name.startsWith(`${volume}@`))
        .sort(([, a], [, b]) => a.since - b.since)
        .map(([name]) => name.slice(volume.length + 1)),
    put(name, knowledge) {
      untie(name);
      const before = entries.get(name);
      // What is known to be there stays so when a repeated call has no clear answer.
      if (before?.knowledge === "there" && knowledge === "maybe") return;
      // A snapshot that was created for certain is newer than one of that name before.
      const since =
        before && (before.knowledge === knowledge || knowledge === "maybe") ? before.since : ++clock;
      entries.set(name, { knowledge, since });
    },
    drop(names, knowledge) {
      for (const name of names) {
        untie(name);
        const before = entries.get(name);
        if (!before) continue;
        if (knowledge === "gone") entries.delete(name);
        else entries.set(name, { ...before, knowledge: "maybe" });
      }
    },
    tie(names) {
      if (names.length > 1) ties.push(names);
    },
    settle(seen, isMine) {
      const found: Contradiction[] = [];
      for (const [name, { knowledge }] of entries) {
        if (!seen.has(name) && knowledge === "there") found.push({ kind: "missing", name });
      }
      for (const name of seen.keys())
        if (isMine(name) && !entries.has(name)) found.push({ kind: "back", name });
      for (const tied of ties) {
        const there = tied.filter((name) => seen.has(name)).length;
        const isOpen = tied.every((name) => entries.get(name)?.knowledge === "maybe");
        if (isOpen && there > 0 && there < tied.length) found.push({ kind: "torn", name: tied.join(" ") });
      }
      ties = [];
      for (const [name, { since }] of [...entries]) {
        if (seen.has(name)) entries.set(name, { knowledge: "there", since });
        else entries.delete(name);
      }
      for (const name of seen.keys()) {
        if (isMine(name) && !entries.has(name)) entries.set(name, { knowledge: "there", since: ++clock });
      }
      return found;
    },
  };
}
