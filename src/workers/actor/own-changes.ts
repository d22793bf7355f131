import type { Outcome } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import { isRead } from "../../protocol/storage/operation-kinds.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { OutsideChange } from "../../protocol/storage/outside-change.js";
import type { DatedChange } from "../drivers/seen-changes.js";
import { type Claim, claimsOf, isClaimed } from "./own-claims.js";

/**
 * Tells the changes of the actor's own operations from those by others: the kernel says of neither who made it. A
 * change is an operation's own if it is of the kind and the dataset that one claims, and was made before that one ended.
 */
export interface OwnChanges {
  /**
   * Runs an operation. Its changes are its own if it succeeds: then main tells them. Where it fails, what was taken for
   * its own is told, as `changed`.
   */
  run<T>(operation: Operation, work: () => Promise<Outcome<T>>): Promise<Outcome<T>>;
  /** Whether a change is an operation's own. One that is not ends the claims of those that have ended. */
  isOwn(change: DatedChange): boolean;
  /**
   * To be called now and then: forgets claims that are over, since all was seen that was made up to `seenUpTo`, by
   * performance.now(). @returns whether a change has not been seen that its operation surely made, a while ago, nor
   * anything newer; told of each once.
   */
  sweep(seenUpTo: number): boolean;
}

/** What is shared by the claims of an operation. */
interface Claimant {
  /** By performance.now(); undefined while it runs. */
  endedAt: number | undefined;
  /** What was taken for its own while it ran, by id. */
  readonly held: Map<string, OutsideChange>;
}

interface Kept {
  readonly claim: Claim;
  readonly claimant: Claimant;
  /** Seen, or over. */
  isDropped: boolean;
}

/**
 * The kernel tells a change before its operation ends. This is for what the time of a change, as known here, may be wrong:
 * the way of what tells it may take so long while the machine is busy.
 */
const SLACK_MS = 1_000;
/** A sure change that has not come for so long may never come: whoever tells of it hangs. */
const UNSEEN_MS = 5_000;
/** Claims of operations that have ended. The oldest are forgotten: then a change that comes late is told twice. */
const MOST_ENDED = 10_000;
/** So many changes of an operation are held. It is not told which the others were. */
const MOST_HELD = 64;

export function createOwnChanges(
  pool: PoolName,
  tell: (change: OutsideChange) => void,
  onMissed: () => void,
): OwnChanges {
  /** By their dataset; those of one snapshot by its name. */
  const claims = new Map<string, Set<Kept>>();
  /** Those of operations that have ended, the oldest first. */
  let ended: Kept[] = [];
  /** Up to when it was looked for sure changes that were not seen, by the end of their operations. */
  let lookedUpTo = 0;

  function drop(kept: Kept): void {
    const key = keyOf(kept.claim);
    kept.isDropped = true;
    const same = claims.get(key);
    same?.delete(kept);
    if (same?.size === 0) claims.delete(key);
  }

  /** Those that may claim a change to `name`: of itself, of its dataset, and of those above. */
  function* near(name: string): Generator<Kept> {
    if (name.includes("@")) yield* [...(claims.get(name) ?? [])];
    const parts = (name.split("@")[0] ?? "").split("/");
    for (let length = parts.length; length > 0; length--)
      yield* [...(claims.get(parts.slice(0, length).join("/")) ?? [])];
  }

  function hold({ held }: Claimant, changes: readonly OutsideChange[]): void {
    for (const change of changes)
      if (held.size <= MOST_HELD) held.set(change.id, { ...change, action: "changed" });
  }

  function release({ held }: Claimant): void {
    if (held.size > MOST_HELD) return onMissed();
    for (const change of held.values()) tell(change);
  }

  async function runChange<T>(operation: Operation, work: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const claimant: Claimant = { endedAt: undefined, held: new Map() };
    const kept = claimsOf(operation, pool).map((claim) => ({ claim, claimant, isDropped: false }));
    for (const each of kept) {
      const key = keyOf(each.claim);
      claims.set(key, (claims.get(key) ?? new Set()).add(each));
    }
    let isDone = false;
    try {
      const outcome = await work();
      isDone = outcome.ok;
      return outcome;
    } finally {
      claimant.endedAt = performance.now();
      if (isDone) ended.push(...kept.filter(({ isDropped }) => !isDropped));
      else {
        kept.forEach(drop);
        release(claimant);
      }
    }
  }

  return {
    run: (operation, work) => (isRead(operation) ? work() : runChange(operation, work)),
    isOwn: ({ kind, name, changes, madeAt }) => {
      const all = [...near(name)];
      const isBefore = ({ claimant: { endedAt } }: Kept) =>
        endedAt === undefined || madeAt <= endedAt + SLACK_MS;
      const own = all.find((kept) => isClaimed(kept.claim, kind, name) && isBefore(kept));
      if (!own) {
        // What has ended to it came before this, so what comes later of its kind is another's.
        for (const kept of all)
          if (kept.claimant.endedAt !== undefined && kept.claim.last === name) drop(kept);
        return false;
      }
      if (own.claimant.endedAt === undefined) hold(own.claimant, changes);
      if (own.claim.last === name && own.claim.kinds[0] === kind) drop(own);
      return true;
    },
    sweep: (seenUpTo) => {
      const now = performance.now();
      const isOver = ({ claimant: { endedAt = now } }: Kept) => endedAt + SLACK_MS < seenUpTo;
      const known = ended.filter(({ isDropped }) => !isDropped);
      const most = known.length - MOST_ENDED;
      known.filter((kept, index) => index < most || isOver(kept)).forEach(drop);
      ended = known.filter(({ isDropped }) => !isDropped);
      const upTo = now - UNSEEN_MS;
      const isUnseen = ended.some(
        ({ claim, claimant: { endedAt = now } }) => claim.isSure && endedAt > lookedUpTo && endedAt <= upTo,
      );
      lookedUpTo = upTo;
      return isUnseen;
    },
  };
}

function keyOf({ dataset, isSure, last = dataset }: Claim): string {
  return isSure ? last : dataset;
}
