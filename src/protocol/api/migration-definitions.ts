import { type MethodDefinition, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { count, flag, listOf, object, oneOf, orNull, record, text } from "./json-schema.js";
import { guid, ofAPull, pulledMembers, pullParams, volume } from "./pull-parts.js";
import { termsParams } from "./terms-params.js";

/** Of a dry run of a step of a migration. */
const plan = object(
  {
    peer: text("The peer, by its name in the configuration."),
    source: text("The volume, by its full name there, as all names here are."),
    base: orNull(
      object(
        {
          id: text("The snapshot, or the bookmark."),
          guid: text("Its guid, which a snapshot of the copy has too."),
        },
        [],
        "What the stream would build on; null if all would come.",
      ),
    ),
    estimatedBytes: orNull(
      count("About how many would come, null where the peer can't tell; more if it is written to.", "bytes"),
    ),
    snapshot: orNull(
      text(
        "The snapshot of the source that would be taken, or the first of them, with the time in its name; null if it is fenced already: then its last one comes.",
      ),
    ),
    fences: flag("Whether the source would be fenced."),
    drops: listOf({ type: "string" }, "Snapshots of earlier rounds that would go at the peer."),
  },
  [],
  "Only of a dry run: what would be done.",
);

const oneVolume = object({ volumes: oneOf(record("Volume")) });
const source = { id: "guests/g1/disk-0", peer: "node2", source: "guests/g1/disk-0" };
const came = { snapshot: "tank/guests/g1/disk-0@migrate-mk2f0q1a", guid, bytes: 1048576, full: false };

/** Methods by which a volume moves to another daemon. */
export const MIGRATION_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  MigrateVolume: {
    summary:
      "Brings a volume of another daemon here while its guest goes on writing, until little is left to come",
    description:
      "It takes snapshots of the source, named `migrate-…`, and pulls them: each time what was written meanwhile. It ends when the last one was 32 MiB or less, or no smaller than the one before. Then stop the guest and call FinishMigration. A dry run tells in `plan` what the first round would do; that the peer would let it is not tried. See docs/replication.md.",
    params: { ...pullParams, ...dryRunParam, ...termsParams },
    result: destroyingResult(pulledMembers, { plan }),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: ofAPull,
    since: "0.1.0",
    examples: [{ name: "a disk", params: source, result: { volumes: [volume], pulled: came } }],
  },
  FinishMigration: {
    summary: "Fences the source of a migration, brings what is left, and makes the volume here writable",
    description:
      "From the fence on nothing changes the source: whoever had it open can't write to it any more. If it fails after that, neither is writable: repeat it, or UnfenceVolume the source to go on there. A dry run fences nothing, and tells in `plan` what would be done.",
    params: { ...pullParams, ...dryRunParam, ...termsParams },
    result: destroyingResult(pulledMembers, { plan }),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: ofAPull,
    since: "0.1.0",
    examples: [
      { name: "a disk", params: source, result: { volumes: [volume], pulled: came } },
      {
        name: "what it would do",
        params: { ...source, dryRun: true },
        result: {
          volumes: [volume],
          pulled: { ...came, guid: "", bytes: 0 },
          plan: {
            peer: "node2",
            source: "tank/guests/g1/disk-0",
            base: { id: "tank/guests/g1/disk-0@migrate-mk2ezp00", guid },
            estimatedBytes: 1048576,
            snapshot: "tank/guests/g1/disk-0@migrate-mk2f0q1a",
            fences: true,
            drops: [],
          },
          destroys: [{ id: "tank/guests/g1/disk-0@migrate-mk2ezp00", bytes: 4096 }],
        },
      },
    ],
  },
  FenceVolume: {
    summary: "Lets nothing change a volume any more, and answers its last snapshot",
    description:
      "It becomes read-only and gets a snapshot. Until UnfenceVolume every method that would change it is refused with `dataset.fenced`, also after a restart; it can be read, sent, and have bookmarks. The mark is its tag `imagestore.fence`. Of one that is fenced the snapshot of then is answered. An embedded pool can't keep a program from writing that has its file open.",
    params: {
      id: required(text("The volume, without the pool or with it.")),
      dest: required(text("The name of the snapshot: what follows the `@`.")),
      pool,
      ...termsParams,
    },
    result: object({ snapshots: oneOf(record("Snapshot")) }),
    effect: "repeatable",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`, or `need a dest`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`not a volume`",
      "dataset.protected": "it is an image's, the pool's, or `guests`",
      "dataset.busy": "it is in use",
      "name.invalid": "`not a valid dataset: …`, or `invalid snapshot dest`",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "a disk",
        params: { id: "guests/g1/disk-0", dest: "last" },
        result: { snapshots: [{ id: "tank/guests/g1/disk-0@last", size: 0 }] },
      },
    ],
  },
  UnfenceVolume: {
    summary: "Takes the fence from a volume, which is then as writable as it was before",
    description:
      "Make sure first that no copy of it is in use: two owners that both write are worse than none.",
    params: { id: required(text("The volume, without the pool or with it.")), pool, ...termsParams },
    result: oneVolume,
    effect: "repeatable",
    repeatLoses: "what was written before to the volume stays, and a fence that was set since is taken away",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`not a volume`",
      "dataset.protected": "it is an image's, the pool's, or `guests`",
      "name.invalid": "`not a valid dataset: …`",
      "pool.no_space": "of an embedded pool: `no space left on device`",
    },
    since: "0.1.0",
    examples: [{ name: "a disk", params: { id: "guests/g1/disk-0" }, result: { volumes: [volume] } }],
  },
};
