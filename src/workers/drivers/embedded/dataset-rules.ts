import { type FailedOutcome, fail, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { newGuid } from "../../../protocol/zfs-stream/guid.js";
import type { AnyName } from "../driver.js";
import type { Catalog, Entry } from "./catalog.js";

/** What OpenZFS gives new volumes since 2.2. */
export const VOLBLOCKSIZE = 16 * 1024;

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** A dataset that is new now; `parts` say what is not as with an empty filesystem. */
export function newEntry(
  catalog: Catalog,
  name: AnyName,
  parts: Partial<Entry> & Pick<Entry, "type">,
): Entry {
  return {
    id: catalog.nextId(),
    name,
    guid: String(newGuid()),
    createtxg: catalog.nextTxg(),
    created: nowSeconds(),
    volsize: bytes(0),
    volblocksize: 0,
    written: bytes(0),
    file: "",
    held: bytes(0),
    reserved: false,
    readonly: false,
    origin: undefined,
    properties: {},
    ...parts,
  };
}

/** What a snapshot holds more than was held before, by its dataset's last one or its origin. */
export function growth(held: Bytes, before: Bytes | undefined): Bytes {
  return before === undefined || before < held ? bytes(held - (before ?? 0n)) : bytes(0);
}

/** What `create -p` makes on the way to `name`. Fails: dataset.wrong_type. */
export function missingParents(catalog: Catalog, name: DatasetName): Outcome<Entry[]> {
  const parts = name.split("/").slice(0, -1);
  const missing: Entry[] = [];
  for (let length = 1; length <= parts.length; length++) {
    const parent = parts.slice(0, length).join("/") as DatasetName;
    const found = catalog.get(parent);
    if (found === undefined) missing.push(newEntry(catalog, parent, { type: "filesystem" }));
    else if (found.type !== "filesystem") {
      return fail("dataset.wrong_type", `cannot create '${name}': parent is not a filesystem`);
    }
  }
  return succeed(missing);
}

/** Why these can't all go at once. */
export function obstacle(
  catalog: Catalog,
  doomed: readonly Entry[],
  asked: string,
): FailedOutcome | undefined {
  const ids = new Set(doomed.map(({ id }) => id));
  const clones = doomed.flatMap(({ id }) => catalog.clonesOf(id)).filter(({ id }) => !ids.has(id));
  if (clones.length > 0) {
    const names = clones.map(({ name }) => name).sort();
    return fail("dataset.has_clones", `${asked} has clones: ${names.join(", ")}`);
  }
  const held = doomed.find(({ id }) => catalog.holdsOf(id).size > 0);
  return held && fail("snapshot.held", `${held.name} is held, a download of it may be running`);
}
