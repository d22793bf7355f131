import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { count, flag, listOf, object, oneOf, orNull, record, text } from "./json-schema.js";
import { MIGRATION_DEFINITIONS } from "./migration-definitions.js";
import { guid, ofAPull, pulledMembers, pullParams, volume } from "./pull-parts.js";
import { termsParams } from "./terms-params.js";

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
  ...MIGRATION_DEFINITIONS,
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
