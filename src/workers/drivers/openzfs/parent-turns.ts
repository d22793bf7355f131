import type { Outcome } from "../../../protocol/storage/failures.js";
import { type DatasetName, type PoolName, parentOf } from "../../../protocol/storage/names.js";

/** More are forgotten, all at once. Of a parent that is forgotten one creation goes first again. */
const MOST_PARENTS = 10_000;

/**
 * Gives creations their turns, each of which makes its parent too if that is missing: of two commands that make
 * one parent the slower one fails, and would have to be run again. So below a parent that is not known yet one goes
 * first, and those that wait for it then run at once. It is no lock: others may make or destroy a parent at any time.
 */
export function createParentTurns(pool: PoolName) {
  /** The first creation below a parent, while it runs. It never rejects. */
  const firsts = new Map<string, Promise<unknown>>();
  /** The pool, and parents below which something was made. */
  const known = new Set<string>([pool]);

  return async function inTurn(
    target: DatasetName,
    create: () => Promise<Outcome<null>>,
  ): Promise<Outcome<null>> {
    const parent = parentOf(target);
    if (known.has(parent)) return create();
    const first = firsts.get(parent);
    if (first) {
      await first;
      return create();
    }
    const creation = create();
    firsts.set(
      parent,
      creation.catch(() => {}),
    );
    try {
      const created = await creation;
      if (known.size >= MOST_PARENTS) known.clear();
      if (created.ok) known.add(parent);
      return created;
    } finally {
      firsts.delete(parent);
    }
  };
}
