import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { count, listOf, mebibytes, object, oneOf, record, text, texts } from "./json-schema.js";
import { pageParams } from "./page-params.js";
import { termsParams } from "./terms-params.js";
import { provisioning } from "./volume-verb-definitions.js";

const id = required(text("The volume's name, without the pool or with it."));
const oneVolume = object({ volumes: oneOf(record("Volume")) });
const volume = { id: "tank/guests/g1/disk-0", size: 10240, device: "/dev/zvol/tank/guests/g1/disk-0" };

export const VOLUME_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  ListVolumes: {
    summary: "Lists every volume of a pool, images and disks too",
    params: {
      ...pageParams("the volume's name"),
      tag: optional(text("Only volumes that have the tag `NAME`, or `NAME=VALUE`.")),
      origin: optional(text("Only clones of this snapshot, or of any snapshot of this volume.")),
      pool,
    },
    result: object({ volumes: listOf(record("Volume")) }),
    effect: "read",
    answeredBy: "pool",
    failures: {
      "name.invalid": "`not a valid dataset: …`, of `after` or `origin`",
      "request.invalid": "no tag has such a name",
    },
    since: "0.1.0",
    examples: [
      { name: "all", params: {}, result: { volumes: [volume] } },
      { name: "a page", params: { limit: 100, after: volume.id }, result: { volumes: [] } },
    ],
  },
  CreateVolume: {
    summary: "Creates an empty volume, and the parents that it lacks",
    description: "A volume of this name and size is a success, if it is as the request wants it.",
    params: {
      id,
      size: required(mebibytes("The size: 1 MiB or more.")),
      volblocksize: optional(count("The size of its blocks: a power of two from 4096 to 131072.", "bytes")),
      provisioning: optional(provisioning),
      tags: optional(texts("Tags by their names, at most 1024 printable characters each.")),
      pool,
      ...termsParams,
    },
    result: oneVolume,
    effect: "repeatable",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need a valid size`, then `need an id`",
      "request.invalid": "a value that the setting can't have",
      "name.invalid": "`not a valid dataset: …`",
      "dataset.exists": "`dataset already exists`, with another size or other settings, or of another kind",
      "dataset.wrong_type": "a parent of it is a volume",
      "dataset.not_found": "`not found`: it was destroyed as soon as it was made",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "10 GiB",
        params: { id: "guests/g1/disk-0", size: 10240 },
        result: { volumes: [volume] },
      },
    ],
  },
  GetVolume: {
    summary: "Shows a volume",
    params: { id, pool },
    result: oneVolume,
    effect: "read",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "name.invalid": "`not a valid dataset: …`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`not a volume`",
    },
    since: "0.1.0",
    examples: [{ name: "a disk", params: { id: "guests/g1/disk-0" }, result: { volumes: [volume] } }],
  },
  DeleteDataset: {
    summary: "Deletes a volume, another dataset or a snapshot, with all below it",
    description:
      "Nothing is deleted while a hold, a clone or a user of any of it is in the way. The pool itself, `images` and `guests` are protected.",
    params: {
      id: required(text("The name of the dataset, without the pool or with it.")),
      ...dryRunParam,
      pool,
      ...termsParams,
    },
    result: destroyingResult({ volumes: oneOf(record("Volume")) }),
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "name.invalid": "`not a valid dataset`",
      "dataset.not_found": "`not found`",
      "dataset.protected": "it is the pool, `images` or `guests`",
      "dataset.busy": "some of it is in use",
      "dataset.has_clones": "others are cloned from it: they are named",
      "snapshot.held": "a download of a snapshot below it runs, or somebody else holds one",
    },
    since: "0.1.0",
    examples: [{ name: "a disk", params: { id: "guests/g1/disk-0" }, result: { volumes: [volume] } }],
  },
};
