import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { count, flag, listOf, object, oneOf, orNull, record, text } from "./json-schema.js";
import { termsParams } from "./terms-params.js";

const guid = "3638339086458732932";
const volume = { id: "tank/guests/g1/disk-0", size: 10240, device: "/dev/zvol/tank/guests/g1/disk-0" };

/** What comes of a volume of a peer. */
const pullParams = {
  id: required(text("The copy, without the pool or with it.")),
  peer: required(text("The other daemon, by its name in `peers` of the configuration.")),
  source: required(
    text("Its volume, whose newest snapshot comes, or one of its snapshots, by the names that it knows."),
  ),
  force: optional(
    flag("Destroys what the copy has and its source has not: newer snapshots, and what was written to it."),
  ),
  pool,
};

const pulledMembers = {
  volumes: oneOf(record("Volume")),
  pulled: object(
    {
      snapshot: text("The newest snapshot that both have, by its full name here."),
      guid: text("Its guid; empty of a dry run of a migration."),
      bytes: count("Of the streams that came; 0 where it had all, and of a dry run.", "bytes"),
      full: flag("Whether a stream came that built on nothing."),
    },
    [],
    "What came.",
  ),
};

/** Of a dry run of a step of a migration. */
const plan = object(
  {
    peer: text("The peer, by its name in the configuration."),
    source: text("The volume, by its full name there, as all names here are."),
    base: orNull(
      object({
        id: text("The snapshot, or the bookmark, that the stream would build on."),
        guid: text("Its guid, which a snapshot of the copy has too."),
      }),
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

const ofAPull = {
  "request.missing_field": "`need an id`, `need a peer` or `need a source`",
  "peer.unknown": "the configuration has no such peer",
  "peer.unreachable": "the peer can't be reached, or has no time",
  "peer.refused": "the peer refuses: its words follow",
  "dataset.not_found": "the peer has no such volume or snapshot",
  "dataset.diverged":
    "the copy is no copy any more: it is writable, has newer snapshots, or none in common with its source",
  "dataset.wrong_type": "`not a volume`",
  "dataset.protected": "it is an image's, the pool's, or `guests`",
  "dataset.exists": "`dataset already exists`",
  "dataset.has_clones": "with `force`, a snapshot that must go has clones",
  "snapshot.held": "with `force`, a snapshot that must go is held",
  "dataset.busy": "it is in use, or received from elsewhere",
  "name.invalid": "`not a valid dataset: …`",
  "stream.cut_short": "the transfer broke: a repeat goes on",
  "stream.invalid": "the stream can't be received here",
  "pool.no_space": "`no space left on device`",
  "job.cancelled": "a client cancelled it",
} as const;

const oneVolume = object({ volumes: oneOf(record("Volume")) });
const source = { id: "guests/g1/disk-0", peer: "node2", source: "guests/g1/disk-0" };
const came = { snapshot: "tank/guests/g1/disk-0@migrate-mk2f0q1a", guid, bytes: 1048576, full: false };

export const TRANSFER_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  GetSendPlan: {
    summary:
      "Tells what a receiver needs that is to have a volume's newest snapshot, or the one that is named",
    description:
      "A peer asks this before it pulls. The stream can build on `base`, a snapshot or a bookmark that the receiver has as a snapshot: `/snapshots/download?id=ID&from=BASE`.",
    params: {
      id: required(text("The volume, or the snapshot, without the pool or with it.")),
      have: optional(
        listOf({ type: "string" }, "The guids of the snapshots that the receiver has, newest first."),
      ),
      next: optional(
        flag("Tells of a snapshot of the volume that would be taken now, also of one that has none yet."),
      ),
      pool,
    },
    result: object({
      plans: oneOf(
        object(
          {
            id: text("The snapshot to send, by its full name; with `next` the volume."),
            guid: text("Its guid; empty with `next`."),
            isThere: flag("Whether the receiver has it."),
            base: orNull(
              object({
                id: text("The snapshot, or the bookmark, that the stream can build on."),
                guid: text("Its guid."),
              }),
            ),
            bytes: orNull(
              count(
                "Only with `next`: about how many the stream would have; null where the pool can't tell.",
                "bytes",
              ),
            ),
          },
          ["bytes"],
        ),
      ),
    }),
    effect: "read",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "request.invalid": "`have` holds what is no guid, or `next` is asked for a snapshot",
      "dataset.not_found": "`not found`, or it has no snapshot",
      "dataset.wrong_type": "`not a volume`",
      "name.invalid": "`not a valid dataset`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "for a receiver that has none",
        params: { id: "guests/g1/disk-0" },
        result: { plans: [{ id: "tank/guests/g1/disk-0@monday", guid, isThere: false, base: null }] },
      },
    ],
  },
  PullVolume: {
    summary: "Makes a copy of a volume of another daemon, or brings it up to date",
    description:
      "The first time everything comes, later only what has changed. The copy is read-only until SetVolume says otherwise. It has its name once it is whole. A transfer that breaks goes on where it broke, on OpenZFS, when the call is repeated. The source keeps a bookmark for each copy: its snapshots may be deleted. See docs/replication.md.",
    params: { ...pullParams, ...dryRunParam, ...termsParams },
    result: destroyingResult(pulledMembers),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: ofAPull,
    since: "0.1.0",
    examples: [
      {
        name: "a disk of another node",
        params: { id: "guests/g1/disk-0", peer: "node2", source: "guests/g1/disk-0" },
        result: {
          volumes: [volume],
          pulled: { snapshot: "tank/guests/g1/disk-0@monday", guid, bytes: 73400320, full: true },
        },
      },
    ],
  },
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
  ListReplications: {
    summary: "Lists the volumes that are pulled by a schedule, and how that goes",
    description:
      "The schedules are in `replication` of the configuration. A caller sees those of the pools and names that its token is for. What is told of earlier pulls begins with the daemon's start.",
    params: { pool },
    result: object({ replications: listOf(record("Replication")) }),
    effect: "read",
    answeredBy: "daemon",
    failures: {},
    since: "0.1.0",
    examples: [
      {
        name: "one that is up to date",
        params: {},
        result: {
          replications: [
            {
              id: "tank/guests/g1/disk-0",
              pool: "tank",
              peer: "node2",
              source: "guests/g1/disk-0",
              schedule: "*/15 * * * *",
              state: "waiting",
              startedAt: "2026-01-02T03:00:00.000Z",
              upToDateAt: "2026-01-02T03:00:00.000Z",
              bytes: 1048576,
              failures: 0,
              failure: null,
              nextAt: "2026-01-02T03:15:00.000Z",
            },
          ],
        },
      },
    ],
  },
  AbandonReceive: {
    summary: "Gives up the receive of a volume that has broken and could go on",
    description:
      "What has come of it goes. A volume that was there before stays as it was. It is answered as it is then, with the size 0 if there is none; also where nothing was left.",
    params: { id: required(text("The volume, without the pool or with it.")), pool, ...termsParams },
    result: object({ volumes: oneOf(record("Volume")) }),
    effect: "repeatable",
    repeatLoses: "what has come of a receive that has broken since",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "dataset.wrong_type": "`not a volume`",
      "dataset.busy": "it is being received",
      "name.invalid": "`not a valid dataset: …`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a new copy",
        params: { id: "guests/g1/disk-0" },
        result: { volumes: [{ ...volume, size: 0 }] },
      },
    ],
  },
};
