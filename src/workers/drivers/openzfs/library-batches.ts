import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { createBatcher } from "../../batching/batcher.js";
import type { LibraryCall } from "../../libzfs/library-call.js";
import type { CommandKind } from "../../processes/run-command.js";
import type { AnyName } from "../driver.js";
import type { LibraryWay } from "./library-way.js";
import { PRESENCE } from "./look-up-program.js";
import { NAMES_PER_COMMAND } from "./zfs-commands.js";

/** Each call that changes something waits for a transaction group, and two may share one. */
const MAX_CONCURRENT_CALLS = 2;

interface LibraryBatchesOptions<Item> {
  readonly library: LibraryWay;
  readonly kind: CommandKind;
  /** What the item changes. Items for the same name share no call. */
  nameOf(item: Item): AnyName;
  /** The library passes over what is missing, and the command calls it a failure. */
  readonly mustExist?: boolean;
  /** The call for all `items`, which are of any datasets. */
  callOf(items: readonly Item[]): LibraryCall;
  /** Does what the library has not done, or says why it can't be done. */
  byCommand(item: Item): Promise<Outcome<null>>;
}

/**
 * Changes that wait at the same moment share a call of the library, whatever their datasets are. What it
 * refuses is done by a command, alone: so every failure has the words of a command, and one
 * that fails neither fails nor hides another.
 */
export function createLibraryBatches<Item>(
  options: LibraryBatchesOptions<Item>,
): (item: Item) => Promise<Outcome<null>> {
  const { library, kind, nameOf, mustExist = false, callOf, byCommand } = options;

  /** Those of `items` that the library may be asked to change. */
  async function present(items: readonly Item[]): Promise<readonly Item[]> {
    if (!mustExist) return items;
    const found = await library.find(PRESENCE, items.map(nameOf));
    return items.filter((item) => {
      const outcome = found?.get(nameOf(item));
      return outcome?.ok && outcome.value !== undefined;
    });
  }

  /** Changes `items` by one call, or by two: without those that the first one blames. */
  async function call(items: readonly Item[], isRepeated = false): Promise<ReadonlyMap<Item, Outcome<null>>> {
    const called = items.length > 0 ? await library.call(callOf(items), kind) : undefined;
    if (called === undefined) return new Map();
    if (!called.ok) return new Map(items.map((item) => [item, called]));
    const { errno, errors } = called.value;
    // Behind a snapshot there may be the tag of a hold: tank/a@s#tag.
    const blamed = new Set(Object.keys(errors).map((text) => text.split("#")[0]));
    const others = items.filter((item) => !blamed.has(nameOf(item)));
    if (errno === 0) return new Map(others.map((item) => [item, succeed(null)]));
    // Nothing was done.
    return isRepeated || others.length === items.length ? new Map() : call(others, true);
  }

  const submit = createBatcher<Item, Outcome<null>>({
    maxBatches: MAX_CONCURRENT_CALLS,
    maxItems: NAMES_PER_COMMAND,
    keyOf: nameOf,
    async runBatch(items) {
      const ends = await call(await present(items));
      return Promise.all(items.map((item) => ends.get(item) ?? byCommand(item)));
    },
  });
  return (item) => (library.isOpen ? submit(item) : byCommand(item));
}
