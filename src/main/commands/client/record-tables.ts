import { sizeText } from "../../diagnosis/text-layout.js";
import { type Column, type TableStyle, tableLines } from "../terminal/fitted-table.js";
import type { Look } from "../terminal/paint.js";

const MIB = 1024 * 1024;

/** A record as the daemon answers with it. */
export type ShownRecord = Readonly<Record<string, unknown>>;

/** What the member of an answer with this name holds. */
export type RecordKind =
  | "images"
  | "volumes"
  | "snapshots"
  | "pools"
  | "disks"
  | "jobs"
  | "properties"
  | "bookmarks"
  | "plans"
  | "replications"
  | "destroys"
  | "quotas"
  | "backups"
  | "steps"
  | "lines";

/** What of a verb's answer is shown: of a dry run, what would be done, or destroyed. */
export function shownKind(
  {
    records,
    group,
    steps,
  }: { readonly records: RecordKind; readonly group: string; readonly steps?: unknown },
  { dryRun }: Readonly<Record<string, unknown>>,
): RecordKind {
  if (dryRun === true && steps !== undefined) return "steps";
  // Those of backups answer what would be as they answer what is.
  return dryRun === true && group !== "backup" ? "destroys" : records;
}

const text = (value: unknown) =>
  value === undefined || value === null || value === "" ? "-" : String(value);

type More = Partial<Column<ShownRecord>>;

const plain = (heading: string, key: string, more: More = {}): Column<ShownRecord> => ({
  ...{ heading, cell: (record) => text(record[key]) },
  ...more,
});

/** Of a size in whole MiB. */
const size = (heading: string, key: string, more: More = {}): Column<ShownRecord> => ({
  heading,
  cell: (record) => sizeText(Number(record[key]) * MIB),
  // A size may have more bytes than a number of JavaScript keeps.
  exact: (record) => {
    const mib = Number(record[key]);
    return Number.isInteger(mib) ? String(BigInt(mib) * BigInt(MIB)) : "-";
  },
  isNumber: true,
  ...more,
});

const percent = (heading: string, numberOf: (record: ShownRecord) => number | undefined, more: More = {}) => {
  const cell = (unit: string) => (record: ShownRecord) => {
    const value = numberOf(record);
    return value === undefined ? "-" : `${value}${unit}`;
  };
  return { heading, cell: cell("%"), exact: cell(""), isNumber: true, ...more };
};

/** How much of a pool is allocated. */
const fill = ({ allocated, size: all }: ShownRecord) =>
  Number(all) > 0 ? Math.round((Number(allocated) / Number(all)) * 100) : undefined;

/** A pool with so many per cent allocated gets slow, and one with more soon has no room. */
const FULL_PERCENT = 80;
const VERY_FULL_PERCENT = 95;

export function lookOfFill(cell: string): Look | undefined {
  const value = Number.parseInt(cell, 10);
  if (value >= VERY_FULL_PERCENT) return "red";
  return value >= FULL_PERCENT ? "yellow" : undefined;
}

/** What zpool(8) calls the health of a pool. */
export function lookOfHealth(cell: string): Look {
  if (cell === "ONLINE") return "green";
  return cell === "DEGRADED" ? "yellow" : "red";
}

const lookOfStatus = (cell: string): Look => (cell === "complete" ? "green" : "yellow");

/** A member of a volume's properties. */
const setting = (heading: string, key: string, more: More = {}): Column<ShownRecord> => ({
  ...{ heading, cell: ({ properties }) => text(Object(properties)[key]) },
  ...more,
});

/** Of a job: the bytes that it has moved. */
const moved: Column<ShownRecord> = {
  heading: "BYTES",
  cell: ({ bytes }) => sizeText(Number(bytes)),
  exact: ({ bytes }) => text(bytes),
  isNumber: true,
};

/** Of what would be destroyed: the bytes that it gives back. */
const freed: Column<ShownRecord> = {
  heading: "FREES",
  cell: ({ bytes }) => (typeof bytes === "number" ? sizeText(bytes) : "-"),
  exact: ({ bytes }) => text(bytes),
  isNumber: true,
};

const LOOKS_OF_STATES: Readonly<Record<string, Look>> = { done: "green", running: "cyan", failed: "red" };

const lookOfOutcome = (cell: string): Look => (cell === "ok" ? "green" : "red");

function tagsText(tags: unknown): string {
  return Object.entries(Object(tags))
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}

/** The headings are those of zfs(8) and zpool(8), where they have one. */
const COLUMNS: Readonly<Record<RecordKind, readonly Column<ShownRecord>[]>> = {
  images: [
    plain("NAME", "id"),
    plain("TYPE", "type", { goes: 1 }),
    size("SIZE", "size"),
    plain("STATUS", "status", { look: lookOfStatus }),
  ],
  volumes: [plain("NAME", "id"), size("VOLSIZE", "size"), plain("DEVICE", "device", { goes: 1 })],
  snapshots: [plain("NAME", "id"), size("WRITTEN", "size")],
  pools: [
    plain("NAME", "name"),
    plain("DRIVER", "driver", { goes: 1 }),
    size("SIZE", "size"),
    size("ALLOC", "allocated", { goes: 4 }),
    size("FREE", "free", { goes: 3 }),
    size("AVAIL", "available"),
    size("PROMISED", "promised", { goes: 5 }),
    percent("CAP", fill, { look: lookOfFill }),
    percent("FRAG", ({ fragmentation }) => (fragmentation === null ? undefined : Number(fragmentation)), {
      goes: 2,
    }),
    plain("HEALTH", "health", { look: lookOfHealth }),
  ],
  jobs: [
    plain("JOB", "id"),
    plain("METHOD", "method", { goes: 2 }),
    plain("NAME", "dataset"),
    plain("STATE", "state", { look: (cell) => LOOKS_OF_STATES[cell] }),
    plain("PHASE", "phase", { goes: 1 }),
    moved,
  ],
  quotas: [plain("NAME", "id"), size("QUOTA", "quota"), size("USED", "used")],
  destroys: [plain("WOULD BE DESTROYED", "id"), freed],
  steps: [
    plain("WOULD", "would"),
    plain("WHAT", "id"),
    {
      heading: "BYTES",
      cell: ({ bytes }) => (typeof bytes === "number" ? sizeText(bytes) : "-"),
      exact: ({ bytes }) => text(bytes),
      isNumber: true,
    },
  ],
  bookmarks: [
    plain("NAME", "id"),
    plain("GUID", "guid", { goes: 1, isNumber: true }),
    plain("CREATED", "created", { goes: 2, isNumber: true }),
  ],
  replications: [
    plain("NAME", "id"),
    plain("PEER", "peer", { goes: 2 }),
    plain("SOURCE", "source", { goes: 3 }),
    plain("SCHEDULE", "schedule", { goes: 4 }),
    plain("STATE", "state", { look: (cell) => LOOKS_OF_STATES[cell] }),
    plain("UPTODATE", "upToDateAt"),
    { heading: "FAILURE", cell: ({ failure }) => text(Object(failure).code), look: () => "red", goes: 1 },
  ],
  plans: [
    plain("SNAPSHOT", "id"),
    plain("GUID", "guid", { goes: 1, isNumber: true }),
    { heading: "BASE", cell: ({ base }) => text(Object(base).id) },
    plain("THERE", "isThere", { goes: 2 }),
  ],
  backups: [
    plain("BACKUP", "id"),
    plain("SNAPSHOT", "snapshot"),
    { heading: "KIND", cell: ({ from }) => (from === null ? "full" : "increment"), goes: 4 },
    moved,
    plain("TAKEN", "taken", { goes: 3, isNumber: true }),
    { heading: "ENCRYPTED", cell: ({ encrypted }) => (encrypted ? "yes" : "no"), goes: 2 },
    { heading: "WHOLE", cell: ({ restorable }) => (restorable ? "yes" : "NO"), goes: 1 },
  ],
  properties: [
    plain("NAME", "id"),
    size("VOLSIZE", "size"),
    setting("VOLBLOCK", "volblocksize", { goes: 2, isNumber: true }),
    setting("PROVISIONING", "provisioning"),
    setting("COMPRESS", "compression", { goes: 3 }),
    setting("SYNC", "sync", { goes: 4 }),
    setting("RDONLY", "readonly", { goes: 5 }),
    { heading: "TAGS", cell: ({ properties }) => text(tagsText(Object(properties).tags)), goes: 1 },
  ],
  lines: [
    plain("TIME", "time"),
    plain("CALLER", "caller"),
    plain("PEER", "peer", { goes: 3 }),
    plain("METHOD", "method"),
    plain("POOL", "pool", { goes: 4 }),
    { heading: "ABOUT", cell: ({ datasets }) => text([datasets].flat().join(",")), goes: 2 },
    plain("OUTCOME", "code", { look: lookOfOutcome }),
    plain("MESSAGE", "message", { goes: 1 }),
  ],
  disks: [
    plain("VOLUME", "volume"),
    size("SIZE", "size"),
    // A disk's own `device` is what its guest calls it.
    plain("DEVICE", "source", { goes: 1 }),
    plain("IMAGE", "image", { goes: 2 }),
  ],
};

/** A table with a line for each record; without records a line that says so, but to a program. */
export function recordLines(
  kind: RecordKind,
  records: readonly ShownRecord[],
  style: TableStyle,
): readonly string[] {
  if (records.length === 0 && !style.isBare) {
    return [kind === "destroys" ? "nothing would be destroyed" : `no ${kind}`];
  }
  return tableLines(COLUMNS[kind], records, style);
}
