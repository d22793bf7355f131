import { call, type Snapshots, type Volumes } from "./rpc.js";

export type LookUpMethod = "GetSnapshot" | "GetVolume";

/** What a look-up tells: a name in the pool and its MiB, or the error. */
export async function tellLookUp(
  url: string,
  pool: string,
  method: LookUpMethod,
  id: string,
): Promise<string> {
  const { result, error } = await call<Snapshots & Volumes>(url, method, { id });
  if (error !== null || result === null) return String(error);
  const [found] = method === "GetSnapshot" ? result.snapshots : result.volumes;
  return `${found?.id.slice(pool.length + 1)} ${found?.size}`;
}

/** The script that makes what `changesByHand` begins with. */
export function beforeChanges(pool: string): string {
  return `for v in a b; do zfs create -s -V 8M ${pool}/$v; done
    zfs snapshot ${pool}/a@s1
    zfs snapshot ${pool}/a@s2`;
}

/** A change by hand, how a look-up tells what it changes, what it tells before, the script, and what it tells after. */
type ChangeByHand = [
  what: string,
  method: LookUpMethod,
  id: string,
  before: string,
  script: string,
  after: string,
];

/** Every kind of change. In this order: each begins with what the last one left. `disk`: the pool's only one. */
export function changesByHand(pool: string, disk: string): ChangeByHand[] {
  return [
    ["a snapshot", "GetSnapshot", "a@new", "not found", `zfs snapshot ${pool}/a@new`, "a@new 0"],
    [
      "a snapshot's new name",
      "GetSnapshot",
      "a@new",
      "a@new 0",
      `zfs rename ${pool}/a@new @old`,
      "not found",
    ],
    ["a destroyed snapshot", "GetSnapshot", "a@old", "a@old 0", `zfs destroy ${pool}/a@old`, "not found"],
    ["a volume", "GetVolume", "c", "not found", `zfs create -s -V 8M ${pool}/c`, "c 8"],
    ["a volume's size", "GetVolume", "c", "c 8", `zfs set volsize=16M ${pool}/c`, "c 16"],
    ["a volume's new name", "GetVolume", "d", "not found", `zfs rename ${pool}/c ${pool}/d`, "d 16"],
    ["a destroyed volume", "GetVolume", "d", "d 16", `zfs destroy ${pool}/d`, "not found"],
    ["a clone", "GetVolume", "e", "not found", `zfs clone ${pool}/a@s1 ${pool}/e`, "e 8"],
    ["a promoted clone", "GetSnapshot", "e@s1", "not found", `zfs promote ${pool}/e`, "e@s1 0"],
    ["a clone promoted back", "GetSnapshot", "a@s1", "not found", `zfs promote ${pool}/a`, "a@s1 0"],
    ["a rollback", "GetSnapshot", "a@s2", "a@s2 0", `zfs rollback -r ${pool}/a@s1`, "not found"],
    [
      "a received snapshot",
      "GetSnapshot",
      "f@s1",
      "not found",
      `zfs send ${pool}/a@s1 | zfs receive -u ${pool}/f`,
      "f@s1 0",
    ],
    ["a recursive destruction", "GetVolume", "f", "f 8", `zfs destroy -r ${pool}/f`, "not found"],
    [
      "a channel program",
      "GetSnapshot",
      "b@p",
      "not found",
      `echo 'zfs.sync.snapshot("${pool}/b@p")' | zfs program ${pool} -`,
      "b@p 0",
    ],
    [
      "an export and an import",
      "GetSnapshot",
      "b@p",
      "b@p 0",
      `zpool export ${pool}; zpool import ${pool}`,
      "b@p 0",
    ],
    [
      "another pool of the same name",
      "GetVolume",
      "b",
      "b 8",
      `zpool destroy ${pool}; zpool create -f -O mountpoint=none ${pool} ${disk}; zfs create -s -V 24M ${pool}/b`,
      "b 24",
    ],
  ];
}
