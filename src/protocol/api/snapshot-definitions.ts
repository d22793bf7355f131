import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { flag, listOf, object, oneOf, record, text } from "./json-schema.js";
import { pageParams } from "./page-params.js";
import { termsParams } from "./terms-params.js";

const id = required(text("The snapshot, `NAME@SNAPSHOT`, without the pool or with it."));
const oneSnapshot = object({ snapshots: oneOf(record("Snapshot")) });
const snapshots = object({ snapshots: listOf(record("Snapshot")) });
const shown = { id: "tank/guests/g1/disk-0@monday", size: 12 };
/** In the order of their looks: what does not exist is told before what is wrong with the request. */
const ofItsName = {
  "request.missing_field": "`need an id`",
  "dataset.not_found": "`not found`",
  "dataset.wrong_type": "`not a snapshot`",
  "name.invalid": "`not a valid dataset`",
};

export const SNAPSHOT_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  ListSnapshots: {
    summary: "Lists the snapshots of a pool, or those of a dataset and of all below it",
    params: {
      id: optional(
        text("The dataset. Of a snapshot's name, that snapshot alone. Without it, the whole pool."),
      ),
      ...pageParams("the snapshot's name"),
      pool,
    },
    result: snapshots,
    effect: "read",
    answeredBy: "pool",
    failures: {
      "dataset.not_found": "`not found`",
      "name.invalid": "`not a valid dataset`, of `id` or `after`",
    },
    since: "0.1.0",
    examples: [{ name: "of a guest", params: { id: "guests/g1" }, result: { snapshots: [shown] } }],
  },
  GetSnapshot: {
    summary: "Shows a snapshot",
    params: { id, pool },
    result: oneSnapshot,
    effect: "read",
    answeredBy: "pool",
    failures: ofItsName,
    since: "0.1.0",
    examples: [
      { name: "of a disk", params: { id: "guests/g1/disk-0@monday" }, result: { snapshots: [shown] } },
    ],
  },
  CreateSnapshot: {
    summary: "Takes a snapshot",
    params: {
      id: required(text("The dataset, without the pool or with it.")),
      dest: required(text("The name of the snapshot: what follows the `@`.")),
      recursive: optional(flag("Of everything below it too, at one moment for all.")),
      pool,
      ...termsParams,
    },
    result: snapshots,
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`, or `need a dest`",
      "dataset.not_found": "`not found`",
      "name.invalid": "`not a valid dataset: …`, or `invalid snapshot dest`",
      "dataset.wrong_type": "`cannot create a snapshot of a snapshot`",
      "dataset.exists": "`dataset already exists`",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a disk",
        params: { id: "guests/g1/disk-0", dest: "monday" },
        result: { snapshots: [shown] },
      },
    ],
  },
  SnapshotGuest: {
    summary: "Takes a snapshot of all disks of a guest, at one moment for all",
    description:
      "The answer has a snapshot for each disk, and that of the dataset above them. In an embedded pool without reflinks, what a guest writes meanwhile may be in some of them. A crash leaves all of them or none.",
    params: {
      id: required(text("The guest's id.")),
      dest: required(text("The name of the snapshots: what follows the `@`.")),
      pool,
      ...termsParams,
    },
    result: snapshots,
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`, or `need a dest`",
      "dataset.not_found": "`not found`: the guest has no disks",
      "name.invalid": "`invalid id: …`, or `invalid snapshot dest`",
      "dataset.exists": "`dataset already exists`: one of them has such a snapshot",
      "dataset.busy": "one of them is in use",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [{ name: "of a guest", params: { id: "g1", dest: "monday" }, result: { snapshots: [shown] } }],
  },
  DeleteSnapshot: {
    summary: "Deletes a snapshot, and answers what was deleted",
    params: {
      id,
      recursive: optional(flag("The snapshots of the same name of everything below its dataset too.")),
      ...dryRunParam,
      pool,
      ...termsParams,
    },
    result: destroyingResult({ snapshots: listOf(record("Snapshot")) }),
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      ...ofItsName,
      "dataset.busy": "it is in use",
      "dataset.has_clones": "volumes are cloned from it: they are named",
      "snapshot.held": "a download of it runs, or somebody else holds it",
    },
    since: "0.1.0",
    examples: [
      { name: "of a disk", params: { id: "guests/g1/disk-0@monday" }, result: { snapshots: [shown] } },
    ],
  },
  RollbackSnapshot: {
    summary: "Gives a dataset the content that it had at a snapshot",
    params: {
      id,
      destroyMoreRecent: optional(
        flag("Destroys the newer snapshots that are in the way. Without it the method fails and names them."),
      ),
      ...dryRunParam,
      pool,
      ...termsParams,
    },
    result: destroyingResult({ snapshots: oneOf(record("Snapshot")) }),
    effect: "repeatable",
    mayLast: true,
    repeatLoses: "what was written since",
    answeredBy: "pool",
    failures: {
      ...ofItsName,
      "snapshot.newer_exist": "there are newer snapshots: all of them are named",
      "dataset.busy": "the volume is in use",
      "dataset.has_clones": "a newer snapshot has a clone; nothing is destroyed",
      "snapshot.held": "a newer snapshot is held; nothing is destroyed",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      { name: "to the newest", params: { id: "guests/g1/disk-0@monday" }, result: { snapshots: [shown] } },
    ],
  },
};
