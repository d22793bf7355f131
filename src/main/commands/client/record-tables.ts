import { alignRows, printable, sizeText } from "../../diagnosis/text-layout.js";

const MIB = 1024 * 1024;

/** A record as the daemon answers with it. */
export type ShownRecord = Readonly<Record<string, unknown>>;

/** A column of a table: its heading, and what a record has there. */
type Column = readonly [heading: string, cell: (record: ShownRecord) => string];

/** What the member of an answer with this name holds. */
export type RecordKind =
  | "images"
  | "volumes"
  | "snapshots"
  | "pools"
  | "disks"
  | "jobs"
  | "properties"
  | "bookmarks";

const text = (value: unknown) =>
  value === undefined || value === null || value === "" ? "-" : String(value);
const plain = (heading: string, key: string): Column => [heading, (record) => text(record[key])];
/** Of a size in whole MiB. */
const size = (heading: string, key: string): Column => [
  heading,
  (record) => sizeText(Number(record[key]) * MIB),
];

/** A member of a volume's properties. */
const setting = (heading: string, key: string): Column => [
  heading,
  ({ properties }) => text(Object(properties)[key]),
];

/** Of what a pool has: how much of it is allocated. */
const fill: Column = [
  "CAP",
  ({ allocated, size: all }) => `${Math.round((Number(allocated) / Number(all)) * 100)}%`,
];
const fragmentation: Column = [
  "FRAG",
  (record) => (record.fragmentation === null ? "-" : `${record.fragmentation}%`),
];

/** Of a job: the bytes that it has moved. */
const moved: Column = ["BYTES", ({ bytes }) => sizeText(Number(bytes))];

function tagsText(tags: unknown): string {
  return Object.entries(Object(tags))
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}

/** The headings are those of zfs(8) and zpool(8), where they have one. */
const COLUMNS: Readonly<Record<RecordKind, readonly Column[]>> = {
  images: [plain("NAME", "id"), plain("TYPE", "type"), size("SIZE", "size"), plain("STATUS", "status")],
  volumes: [plain("NAME", "id"), size("VOLSIZE", "size"), plain("DEVICE", "device")],
  snapshots: [plain("NAME", "id"), size("WRITTEN", "size")],
  pools: [
    ...[plain("NAME", "name"), plain("DRIVER", "driver"), size("SIZE", "size"), size("ALLOC", "allocated")],
    ...[size("FREE", "free"), size("AVAIL", "available"), size("PROMISED", "promised")],
    ...[fill, fragmentation, plain("HEALTH", "health")],
  ],
  jobs: [
    ...[plain("JOB", "id"), plain("METHOD", "method"), plain("NAME", "dataset"), plain("STATE", "state")],
    ...[plain("PHASE", "phase"), moved],
  ],
  bookmarks: [plain("NAME", "id"), plain("GUID", "guid"), plain("CREATED", "created")],
  properties: [
    ...[plain("NAME", "id"), size("VOLSIZE", "size"), setting("VOLBLOCK", "volblocksize")],
    ...[setting("PROVISIONING", "provisioning"), setting("COMPRESS", "compression"), setting("SYNC", "sync")],
    setting("RDONLY", "readonly"),
    ["TAGS", ({ properties }) => text(tagsText(Object(properties).tags))],
  ],
  disks: [
    plain("VOLUME", "volume"),
    size("SIZE", "size"),
    plain("DEVICE", "device"),
    plain("IMAGE", "image"),
  ],
};

/**
 * A table with a heading, a line for each record, each with a newline. `isBare`: without a heading, columns
 * by tabs.
 */
export function tableText(kind: RecordKind, records: readonly ShownRecord[], isBare: boolean): string {
  const columns = COLUMNS[kind];
  const rows = records.map((record) => columns.map(([, cell]) => printable(cell(record))));
  if (isBare) return rows.map((row) => `${row.join("\t")}\n`).join("");
  if (rows.length === 0) return `no ${kind}\n`;
  return `${alignRows([columns.map(([heading]) => heading), ...rows]).join("\n")}\n`;
}
