import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { count, flag, listOf, object, oneOf, record, text, word } from "./json-schema.js";
import { pageParams } from "./page-params.js";
import { termsParams } from "./terms-params.js";

const full = {
  id: "12802018239405436110/5713938271162738422/3638339086458732932.full",
  snapshot: "tank/guests/g1/disk-0@monday",
  guid: "3638339086458732932",
  from: null,
  bytes: 2147532800,
  size: 10240,
  created: "2026-11-29T12:25:55.000Z",
  taken: "2026-11-29T12:31:02.114Z",
  sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  restorable: true,
  encrypted: true,
};
const increment = {
  ...full,
  id: "12802018239405436110/5713938271162738422/3638339086458732932-7311029383465519301.inc",
  snapshot: "tank/guests/g1/disk-0@tuesday",
  guid: "7311029383465519301",
  from: "3638339086458732932",
  bytes: 50331648,
  created: "2026-11-30T12:25:55.000Z",
  taken: "2026-11-30T12:26:41.023Z",
  sha256: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
};
const restored = {
  id: "tank/guests/g1/disk-0-old",
  size: 10240,
  device: "/dev/zvol/tank/guests/g1/disk-0-old",
};

const profile = required(text("The name of a profile of `backups` in the configuration."));
const verify = optional(
  text(
    "`content` or nothing: all data is read and held against its digests first. `structure`: only whether each object is there with its size.",
  ),
);
const ofStore = {
  "request.missing_field": "`need a profile`",
  "request.invalid": "`no such profile of backups`",
  "backup.store_unreachable": "the store can't be used now",
  "backup.store_refused": "the store refuses the keys, the bucket or what was asked",
} as const;
const CANCELLED = "it was cancelled";

export const BACKUP_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  BackupSnapshot: {
    summary: "Stores a snapshot of a volume as a backup in an object store",
    description: [
      "It is an increment of the newest earlier backup of the volume whose snapshot, or a bookmark of it, is still in the pool; else it is full, and `why` and `warnings` say so.",
      "Afterwards a bookmark stays, so the snapshot can be deleted. A snapshot with a backup that is whole is a success.",
    ].join(" "),
    params: {
      id: required(text("The snapshot, `NAME@SNAPSHOT`, without the pool or with it.")),
      profile,
      full: optional(flag("Whether it must be full.")),
      pool,
      ...termsParams,
    },
    result: object({
      backups: oneOf(record("Backup")),
      why: word(
        ["first", "asked", "fullEvery", "baseLost", "increment", "present"],
        "Why it is full: it is the `first`, it was `asked` for, the chain had as many increments as `fullEvery` allows, or nothing was left to build on; or that it is an `increment`, or was `present`.",
      ),
      warnings: listOf({ type: "string" }, "What somebody should know, a sentence each."),
    }),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      ...ofStore,
      "request.missing_field": "`need an id`, or `need a profile`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`not a snapshot`, or it is not one of a volume",
      "dataset.busy": "a backup of the volume to this profile is running",
      "dataset.key_not_loaded": "it is encrypted, and its key is not loaded",
      "name.invalid": "`not a valid dataset: …`",
      "backup.damaged": "the store does not have what was stored a moment ago",
      "backup.not_found": "what it builds on was removed meanwhile",
      "job.cancelled": CANCELLED,
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a disk",
        params: { id: "guests/g1/disk-0@tuesday", profile: "offsite" },
        result: { backups: [increment], why: "increment", warnings: [] },
      },
    ],
  },
  ListBackups: {
    summary: "Lists the backups in an object store",
    description:
      "It reads the store alone, also for pools that are gone. `restorable` tells whether all that a backup builds on is listed; VerifyBackup tells more.",
    params: {
      profile,
      id: optional(text("Only backups of this volume, by the name that its newest backup has.")),
      ...pageParams("the backup's id"),
      pool,
    },
    result: object({
      backups: listOf(record("Backup")),
      damaged: listOf({ type: "string" }, "Ids of backups whose manifests can't be used."),
    }),
    effect: "read",
    answeredBy: "daemon",
    failures: {
      ...ofStore,
      "pool.not_found": "`no such pool is configured: …`",
      "name.invalid": "`not a valid dataset: …`",
      "service.interrupted": "the thread that reads the store ended",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a disk",
        params: { profile: "offsite", id: "guests/g1/disk-0" },
        result: { backups: [increment, full], damaged: [] },
      },
    ],
  },
  VerifyBackup: {
    summary: "Looks whether a backup, or each of them, can be restored",
    description:
      "It looks for each object that a restore would need, at its size, its digests, each record of its stream, and whether the streams join. No pool is touched. The failure names what is damaged.",
    params: {
      profile,
      id: optional(text("The id of a backup, or the guid of its snapshot. Without it, all of them.")),
      verify,
      pool,
      ...termsParams,
    },
    result: object({
      backups: listOf(record("Backup"), "Those that were looked at: the backup, and all that it builds on."),
      bytes: count("Of all their data.", "bytes"),
    }),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      ...ofStore,
      "request.invalid": "`no such profile of backups`, or `not a way to verify`",
      "backup.not_found": "`no such backup`",
      "backup.damaged": "an object is missing or is not what was stored",
      "job.cancelled": CANCELLED,
    },
    since: "0.1.0",
    examples: [
      {
        name: "of one backup",
        params: { profile: "offsite", id: "7311029383465519301" },
        result: { backups: [full, increment], bytes: 2197864448 },
      },
    ],
  },
  RestoreBackup: {
    summary: "Makes a new volume of a backup",
    description:
      "It looks at all that it needs as VerifyBackup does before it changes anything. Then it receives the full backup and the increments under a name that no request can name, and renames that at the end. The volume is writable, and has the snapshots of the chain.",
    params: {
      profile,
      id: required(text("The id of a backup, or the guid of its snapshot.")),
      dest: required(text("The name of the new volume.")),
      verify,
      dryRun: optional(
        flag(
          "Whether to look at all that a restore looks at, and answer the volume as it would be and what it would be made of: nothing is changed.",
        ),
      ),
      pool,
      ...termsParams,
    },
    result: object(
      {
        volumes: oneOf(record("Volume")),
        backups: listOf(
          record("Backup"),
          "Only of a dry run: what would be received, the full backup first. A restore destroys nothing.",
        ),
        bytes: count("Only of a dry run: of all their data.", "bytes"),
      },
      ["backups", "bytes"],
    ),
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      ...ofStore,
      "request.missing_field": "`need a profile`, `need an id`, or `need dest`",
      "request.invalid": "`no such profile of backups`, or `not a way to verify`",
      "name.invalid": "`not a valid dataset: …`",
      "dataset.exists": "`dataset already exists`",
      "dataset.protected": "`dest` is imagestore's own",
      "dataset.not_found": "it was destroyed while it was received",
      "dataset.busy": "it is in use",
      "pool.no_space": "`no space left on device`",
      "backup.not_found": "`no such backup`",
      "backup.damaged": "an object is missing or is not what was stored: nothing was changed",
      "image.bad_stream": "the stream is of a kind that is not received",
      "job.cancelled": CANCELLED,
    },
    since: "0.1.0",
    examples: [
      {
        name: "beside the disk",
        params: { profile: "offsite", id: "7311029383465519301", dest: "guests/g1/disk-0-old" },
        result: { volumes: [restored] },
      },
      {
        name: "what it would do",
        params: {
          ...{ profile: "offsite", id: "7311029383465519301", dest: "guests/g1/disk-0-old" },
          ...{ verify: "structure", dryRun: true },
        },
        result: { volumes: [restored], backups: [full, increment], bytes: 2197864448 },
      },
    ],
  },
  PruneBackups: {
    summary: "Removes old backups of a pool that no kept backup builds on",
    description:
      "The newest backup of each volume is kept, whatever the rules say, and all that a kept one builds on. What is left of backups that did not end goes too once it is old, unless `id` names a volume.",
    params: {
      profile,
      id: optional(text("Only backups of this volume, by the name that its newest backup has.")),
      keepLast: optional(count("So many of the newest of each volume are kept.", "backups")),
      keepDays: optional(count("Those that were taken in so many days are kept.", "days")),
      dryRun: optional(flag("Whether to tell what would go, and remove nothing.")),
      pool,
      ...termsParams,
    },
    result: object({
      backups: listOf(record("Backup"), "Those that are gone, or would be."),
      leftovers: listOf(
        { type: "string" },
        "Objects of backups that did not end, which are gone too, or would be.",
      ),
      dryRun: flag("Whether nothing was removed."),
    }),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      ...ofStore,
      "request.missing_field": "`need a profile`, or `need what to keep`",
      "name.invalid": "`not a valid dataset: …`",
      "dataset.not_found": "`not found`",
      "dataset.busy": "a backup to this profile is running",
    },
    since: "0.1.0",
    examples: [
      {
        name: "what is older than a month",
        params: { profile: "offsite", keepDays: 30, dryRun: true },
        result: { backups: [increment], leftovers: [], dryRun: true },
      },
    ],
  },
};
