import { sizeText } from "../../diagnosis/text-layout.js";
import type { DaemonAddress } from "./daemon-address.js";
import type { ShownRecord } from "./record-tables.js";
import type { Verb } from "./verb.js";
import { callVerb } from "./verb-call.js";
import { VERBS } from "./verbs.js";

type Params = Readonly<Record<string, unknown>>;

const MIB = 1024 * 1024;

function verbNamed(group: Verb["group"], name: string): Verb {
  const found = VERBS.find((verb) => verb.group === group && verb.name === name);
  if (!found) throw new Error(`there is no command ${group} ${name}`);
  return found;
}

async function recordsOf(
  address: DaemonAddress,
  group: Verb["group"],
  name: string,
  params: Params,
): Promise<readonly ShownRecord[]> {
  return (await callVerb(address, verbNamed(group, name), params)).records;
}

const line = ({ id, size }: ShownRecord) =>
  Number(size) > 0 ? `${id}  ${sizeText(Number(size) * MIB)}` : String(id);

/** A dataset's name with its pool, by the rule of the daemon: a first part that is a pool is one. */
async function fullName(
  address: DaemonAddress,
  { id, pool }: Params,
): Promise<{ pool: string; name: string }> {
  const name = String(id).split("/").filter(Boolean).join("/");
  const pools = (await recordsOf(address, "pool", "status", {})).map((record) => String(record.name));
  const [first = ""] = name.split("/");
  if (pools.includes(first)) return { pool: first, name };
  const own = String(pool ?? pools[0]);
  return { pool: own, name: `${own}/${name}` };
}

/** A dataset and what is below it: volumes with their sizes, then snapshots. */
async function belowDataset(address: DaemonAddress, params: Params): Promise<readonly string[]> {
  const { pool, name } = await fullName(address, params);
  const [volumes, snapshots] = await Promise.all([
    recordsOf(address, "volume", "list", { pool }),
    recordsOf(address, "snapshot", "list", { pool, id: name }),
  ]);
  const isBelow = ({ id }: ShownRecord) => id === name || String(id).startsWith(`${name}/`);
  return [...volumes.filter(isBelow).map(line), ...snapshots.map(({ id }) => String(id))];
}

/** The other snapshots of the volume that is rolled back. Their names don't tell which are newer. */
async function otherSnapshots(address: DaemonAddress, { id, pool }: Params): Promise<readonly string[]> {
  const [volume = "", snapshot = ""] = String(id).split("@");
  const records = await recordsOf(address, "snapshot", "list", { pool, id: volume });
  const ownVolume = String(records[0]?.id).split("@")[0];
  return records
    .map((record) => String(record.id))
    .filter((name) => name.startsWith(`${ownVolume}@`) && name !== `${ownVolume}@${snapshot}`);
}

/** What a command is about to destroy: a sentence, and the names. */
export interface Destruction {
  readonly sentence: string;
  readonly names: readonly string[];
}

/**
 * What a command destroys, as far as the daemon can tell it. Undefined: nothing. Rejects with a CallFailure,
 * as the command itself would.
 */
export async function destructionOf(
  address: DaemonAddress,
  { destroys }: Verb,
  params: Params,
): Promise<Destruction | undefined> {
  const { id, pool } = params;
  switch (destroys) {
    case "dataset":
      return {
        sentence: `This deletes ${id}, with all below it`,
        names: await belowDataset(address, params),
      };
    case "image": {
      const images = await recordsOf(address, "image", "show", params);
      return { sentence: `This deletes the image ${id}`, names: images.map(line) };
    }
    case "disks": {
      const names = await belowDataset(address, { id: `guests/${id}`, pool });
      return { sentence: `This deletes the disks of the guest ${id}`, names };
    }
    case "newer snapshots": {
      const lost = params.destroyMoreRecent
        ? "What was written since then is lost, and those of its snapshots that are newer"
        : "What was written since then is lost";
      const names = params.destroyMoreRecent ? await otherSnapshots(address, params) : [];
      return { sentence: `This gives a volume the content of ${id} again. ${lost}`, names };
    }
    default:
      return undefined;
  }
}
