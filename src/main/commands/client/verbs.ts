import { InvalidArgumentError } from "commander";
import { notEmpty } from "../option-parsers.js";
import type { RecordKind } from "./record-tables.js";

/** A part of a command that fills a member of the request. */
interface Parameter {
  /** The member; a disk is added to the guest's. */
  readonly member: string;
  /** As commander wants it: `<image>`, or `--size <size>`. */
  readonly flags: string;
  readonly description: string;
  /** Throws an InvalidArgumentError. `before`: of an option that may be given several times. */
  parse(value: string, before: unknown): unknown;
  readonly isRequired?: boolean;
}

/** A command that calls one method of the daemon. */
export interface Verb {
  readonly group: "image" | "volume" | "snapshot" | "guest" | "pool" | "job";
  readonly name: string;
  readonly method: string;
  readonly summary: string;
  readonly arguments: readonly Parameter[];
  readonly options: readonly Parameter[];
  /** What the answer holds. `disks`: those of its guest. */
  readonly records: RecordKind;
  /** Its answer comes in pages. */
  readonly isList: boolean;
}

const UNIT_MIB: Readonly<Record<string, number>> = { m: 1, g: 1024, t: 1024 ** 2, p: 1024 ** 3 };

/** `512M`, `10G`, `1.5T`: whole MiB, by powers of 1024, as zfs(8) reads them. */
export function parseSize(value: string): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)([mgtp])(?:i?b)?$/i.exec(value) ?? [];
  const mib = Number(digits) * (UNIT_MIB[unit.toLowerCase()] ?? Number.NaN);
  if (Number.isSafeInteger(mib) && mib > 0) return mib;
  throw new InvalidArgumentError("must be a size of whole MiB, such as 512M or 10G");
}

/** A disk of a guest: `10G` for an empty one, or the name of an image. */
export function parseDisk(value: string, before: unknown): object[] {
  const disks = Array.isArray(before) ? before : [];
  const [, kind = "", what = ""] = /^(size|image)=(.+)$/.exec(value) ?? [];
  if (kind === "image") return [...disks, { image: what }];
  if (kind === "size") return [...disks, { size: parseSize(what) }];
  throw new InvalidArgumentError("must be size=SIZE for an empty disk, or image=IMAGE");
}

/** `4096`, `16K`: bytes. */
export function parseBlockSize(value: string): number {
  const [, digits = "", unit] = /^(\d{1,6})(k)?$/i.exec(value) ?? [];
  const bytes = Number(digits) * (unit === undefined ? 1 : 1024);
  if (bytes > 0) return bytes;
  throw new InvalidArgumentError("must be a number of bytes, such as 4096 or 16K");
}

export function parseSwitch(value: string): boolean {
  if (value === "on" || value === "off") return value === "on";
  throw new InvalidArgumentError("must be on or off");
}

/** A tag beside those before it. */
export function parseTag(value: string, before: unknown): object {
  const at = value.indexOf("=");
  if (at <= 0) throw new InvalidArgumentError("must be NAME=VALUE");
  return { ...Object(before), [value.slice(0, at)]: value.slice(at + 1) };
}

const text = (member: string, flags: string, description: string): Parameter => ({
  ...{ member, flags, description },
  parse: notEmpty,
});
const flag = (member: string, flags: string, description: string): Parameter => ({
  ...{ member, flags, description },
  parse: () => true,
});
const needed = (parameter: Parameter): Parameter => ({ ...parameter, isRequired: true });

const image = text("id", "<image>", "the image's name");
const volume = text("id", "<volume>", "the volume's name, without the pool or with it");
const snapshot = text("id", "<snapshot>", "VOLUME@SNAPSHOT");
const guest = text("id", "<guest>", "the guest's name");
const size: Parameter = { ...text("size", "--size <size>", "such as 512M or 10G"), parse: parseSize };
const blockSize: Parameter = {
  ...text("volblocksize", "--block-size <bytes>", "the size of its blocks: 4096, 8K, … 128K"),
  parse: parseBlockSize,
};
const provisioning = text(
  "provisioning",
  "--provisioning <how>",
  "thick, with its room kept for it, or thin",
);
const tags: Parameter = {
  ...text("tags", "--tag <tag>", "NAME=VALUE; with an empty value the tag goes; once for each"),
  parse: parseTag,
};
const disk: Parameter = {
  ...text("disks", "--disk <disk>", "size=SIZE or image=IMAGE; once for each disk, in their order"),
  parse: parseDisk,
};
const type = "kvm or container, or what the image service says";

type Row = Partial<Verb> & Pick<Verb, "name" | "method" | "summary">;

const verbsOf = (group: Verb["group"], records: RecordKind, rows: readonly Row[]): Verb[] =>
  rows.map((row) => ({ group, records, arguments: [], options: [], isList: false, ...row }));

/** Every method of the daemon, as a command. `imagestore call` calls any by its name. */
export const VERBS: readonly Verb[] = [
  ...verbsOf("image", "images", [
    {
      name: "list",
      method: "ListImages",
      summary: "list the images",
      options: [text("type", "--type <type>", "only those of this type")],
      isList: true,
    },
    { name: "show", method: "GetImage", summary: "show an image", arguments: [image] },
    {
      name: "request",
      method: "RequestImage",
      summary: "fetch an image from the image service, and wait until it is complete",
      arguments: [image],
      options: [text("type", "--type <type>", type), text("source", "--source <url>", "fetch it from there")],
    },
    { name: "delete", method: "DeleteImage", summary: "delete an image", arguments: [image] },
    {
      name: "clone",
      method: "CloneImage",
      summary: "make a volume of an image",
      arguments: [image, text("dest", "<volume>", "the new volume's name")],
      records: "volumes",
    },
  ]),
  ...verbsOf("volume", "volumes", [
    {
      name: "list",
      method: "ListVolumes",
      summary: "list the volumes of a pool",
      options: [text("tag", "--tag <tag>", "only those that have the tag, NAME or NAME=VALUE")],
      isList: true,
    },
    { name: "show", method: "GetVolume", summary: "show a volume", arguments: [volume] },
    {
      name: "properties",
      method: "GetVolumeProperties",
      summary: "show the settings and the tags of a volume",
      arguments: [volume],
      records: "properties",
    },
    {
      name: "create",
      method: "CreateVolume",
      summary: "create a volume, and the parents that it lacks",
      arguments: [volume],
      options: [needed(size), blockSize, provisioning, tags],
    },
    {
      name: "set",
      method: "SetVolume",
      summary: "change settings and tags of a volume",
      arguments: [volume],
      options: [
        text("compression", "--compression <how>", "on, off, lz4, zstd, gzip-9, …"),
        text("sync", "--sync <when>", "standard, always or disabled"),
        { ...text("readonly", "--read-only <switch>", "on or off"), parse: parseSwitch },
        provisioning,
        tags,
      ],
      records: "properties",
    },
    {
      name: "resize",
      method: "ResizeVolume",
      summary: "make a volume larger, or smaller",
      arguments: [volume],
      options: [
        needed(size),
        flag("allowDataLoss", "--allow-data-loss", "let it shrink, and lose what is behind its new end"),
      ],
    },
    {
      name: "rename",
      method: "RenameVolume",
      summary: "give a volume another name in its pool, and make the parents that it lacks",
      arguments: [volume, text("dest", "<name>", "the new name")],
    },
    {
      name: "promote",
      method: "PromoteVolume",
      summary: "give a clone the snapshots that it was made of, so that the volume before it can go",
      arguments: [volume],
    },
    {
      name: "delete",
      method: "DeleteDataset",
      summary: "delete a volume or another dataset, with all below it",
      arguments: [volume],
    },
  ]),
  ...verbsOf("snapshot", "snapshots", [
    {
      name: "list",
      method: "ListSnapshots",
      summary: "list the snapshots of a pool, or those below a dataset",
      arguments: [text("id", "[dataset]", "the dataset's name")],
      isList: true,
    },
    { name: "show", method: "GetSnapshot", summary: "show a snapshot", arguments: [snapshot] },
    {
      name: "create",
      method: "CreateSnapshot",
      summary: "take a snapshot",
      arguments: [volume, text("dest", "<name>", "the snapshot's name, what follows the @")],
      options: [flag("recursive", "-r, --recursive", "of all below it too, at the same moment")],
    },
    {
      name: "delete",
      method: "DeleteSnapshot",
      summary: "delete a snapshot",
      arguments: [snapshot],
      options: [flag("recursive", "-r, --recursive", "those of the same name below it too")],
    },
    {
      name: "clone",
      method: "CloneSnapshot",
      summary: "make a volume of a snapshot",
      arguments: [snapshot, text("dest", "<volume>", "the new volume's name")],
      records: "volumes",
    },
    {
      name: "rollback",
      method: "RollbackSnapshot",
      summary: "give a volume the content that it had at a snapshot",
      arguments: [snapshot],
      options: [
        flag("destroyMoreRecent", "-r, --destroy-more-recent", "delete the snapshots that are newer"),
      ],
    },
  ]),
  ...verbsOf("guest", "disks", [
    {
      name: "create-disks",
      method: "CreateGuestDisks",
      summary: "make the disks of a guest, all or none",
      arguments: [guest],
      options: [needed(disk)],
    },
    {
      name: "verify-disks",
      method: "VerifyDisks",
      summary: "tell whether there is room for the disks of a guest",
      arguments: [guest],
      options: [needed(disk)],
    },
    {
      name: "snapshot",
      method: "SnapshotGuest",
      summary: "take a snapshot of all disks of a guest, at one moment",
      arguments: [guest, text("dest", "<name>", "the snapshots' name, what follows the @")],
      records: "snapshots",
    },
    {
      name: "delete-disks",
      method: "DeleteGuestsDisks",
      summary: "delete the disks of a guest",
      arguments: [guest],
    },
  ]),
  ...verbsOf("pool", "pools", [
    {
      name: "status",
      method: "GetPool",
      summary: "show the size and the health of all pools, or of one",
      arguments: [text("id", "[pool]", "the pool's name")],
    },
  ]),
  ...verbsOf("job", "jobs", [
    {
      name: "list",
      method: "ListJobs",
      summary: "list the work that lasts: what runs, and what has ended",
      options: [
        text("state", "--state <state>", "only those in this state, such as running"),
        text("method", "--method <method>", "only those of this method, such as RequestImage"),
      ],
      isList: true,
    },
    {
      name: "show",
      method: "GetJob",
      summary: "show a job",
      arguments: [text("id", "<job>", "the job's id")],
    },
  ]),
];
