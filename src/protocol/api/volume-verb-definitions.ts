import { SYNC_WORDS } from "../storage/volume-settings.js";
import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { flag, mebibytes, object, oneOf, record, text, texts, word } from "./json-schema.js";
import { termsParams } from "./terms-params.js";

const id = required(text("The volume's name, without the pool or with it."));
const oneVolume = object({ volumes: oneOf(record("Volume")) });
const shown = (name: string, size = 10240) => ({
  volumes: [{ id: `tank/${name}`, size, device: `/dev/zvol/tank/${name}` }],
});
const withProperties = {
  volumes: [
    {
      ...shown("guests/g1/disk-0").volumes[0],
      properties: {
        compression: "lz4",
        sync: "standard",
        readonly: false,
        provisioning: "thick",
        volblocksize: 16384,
        tags: { owner: "ada" },
      },
    },
  ],
};
export const provisioning = word(
  ["thick", "thin"],
  "Whether room is kept for all that the volume may write. Without it as the pool does it.",
);
/** Of every change of a volume that is there. */
const ofAVolume = {
  "request.missing_field": "`need an id`",
  "name.invalid": "`not a valid dataset: …`",
  "dataset.not_found": "`not found`",
  "dataset.wrong_type": "`not a volume`",
  "dataset.protected": "it is an image, the pool, or `guests`",
};

export const VOLUME_VERB_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  ResizeVolume: {
    summary: "Makes a volume larger, or smaller",
    description:
      "The answer has the size that it has then: whole blocks, rounded up. What is new reads as zeros. A thick volume stays thick.",
    params: {
      id,
      size: required(mebibytes("The new size: 1 MiB or more.")),
      allowDataLoss: optional(flag("Lets it shrink, and lose what is behind its new end.")),
      pool,
      ...termsParams,
    },
    result: oneVolume,
    effect: "repeatable",
    answeredBy: "pool",
    failures: {
      ...ofAVolume,
      "request.missing_field": "`need a valid size`, then `need an id`",
      "dataset.would_shrink": "`the volume would shrink; …`: without `allowDataLoss`",
      "dataset.read_only": "the volume is read-only",
      "dataset.busy": "it is in use",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "20 GiB",
        params: { id: "guests/g1/disk-0", size: 20480 },
        result: shown("guests/g1/disk-0", 20480),
      },
    ],
  },
  RenameVolume: {
    summary: "Gives a volume another name in its pool, and makes the parents that it lacks",
    description:
      "Its snapshots come along; its clones and the downloads of its snapshots go on. No volume can become an image.",
    params: { id, dest: required(text("The new name, without the pool or with it.")), pool, ...termsParams },
    result: oneVolume,
    effect: "once",
    answeredBy: "pool",
    failures: {
      ...ofAVolume,
      "request.missing_field": "`need an id`, or `need dest`",
      "dataset.wrong_type": "`not a volume`, or a parent of the new name is a volume",
      "dataset.protected": "one of the names is an image's, the pool's, or `guests`",
      "dataset.exists": "`dataset already exists`",
      "dataset.busy": "it is in use",
      "pool.no_space": "a quota above the new name has no room for it",
    },
    since: "0.1.0",
    examples: [
      {
        name: "to another guest",
        params: { id: "guests/g1/disk-1", dest: "guests/g2/disk-1" },
        result: shown("guests/g2/disk-1"),
      },
    ],
  },
  PromoteVolume: {
    summary: "Gives a clone the snapshots that it was made of, so that the volume before it can be deleted",
    description:
      "The clone gets the snapshot that it was made of and those before it. The volume that had them becomes a clone of it.",
    params: { id, pool, ...termsParams },
    result: oneVolume,
    effect: "once",
    answeredBy: "pool",
    failures: {
      ...ofAVolume,
      "dataset.wrong_type": "`not a volume`, or `not a clone`",
      "dataset.protected": "it is an image, or a clone of one, which would lose its snapshot",
      "dataset.exists": "it has a snapshot of the same name: that is named",
      "dataset.busy": "its origin is renamed meanwhile",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [{ name: "a clone", params: { id: "guests/g2/disk-0" }, result: shown("guests/g2/disk-0") }],
  },
  CloneSnapshot: {
    summary: "Makes a volume of a snapshot of a volume, and the parents that it lacks",
    description: "It shares its blocks with the snapshot. A clone of it with this name is a success.",
    params: {
      id: required(text("The snapshot, `NAME@SNAPSHOT`, without the pool or with it.")),
      dest: required(text("The name of the new volume, without the pool or with it.")),
      pool,
      ...termsParams,
    },
    result: oneVolume,
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`, or `need dest`",
      "name.invalid": "`not a valid dataset: …`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type":
        "`not a snapshot`, `not a snapshot of a volume`, or a parent of the new name is a volume",
      "dataset.protected":
        "it is a snapshot of an image, for which there is CloneImage, or `dest` is protected",
      "dataset.exists": "`dataset already exists`",
      "dataset.busy": "it is in use",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a disk",
        params: { id: "guests/g1/disk-0@monday", dest: "guests/g2/disk-0" },
        result: shown("guests/g2/disk-0"),
      },
    ],
  },
  CopyVolume: {
    summary: "Makes a volume with the content of another or of a snapshot, which shares nothing with it",
    description:
      "Unlike a clone it takes the room of all its data, and its source can go. It can be written, and has the block size, the compression, the syncs, the provisioning and the tags of its source. Of a volume a snapshot is taken for it, `imagestore-copy-…`, which goes at its end. As long as it runs its source can't be deleted; it can be cancelled, and then leaves nothing.",
    params: {
      id: required(text("The volume or the snapshot, without the pool or with it.")),
      dest: required(text("The name of the new volume in the same pool, without the pool or with it.")),
      pool,
      ...termsParams,
    },
    result: oneVolume,
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`, or `need dest`",
      "name.invalid": "`not a valid dataset: …`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`not a volume`, or a parent of the new name is one",
      "dataset.protected": "`dest` is protected",
      "dataset.exists": "`dataset already exists`",
      "dataset.busy": "it is in use, or another copy to `dest` is under way",
      "dataset.key_not_loaded": "the key of its source is not loaded",
      "image.bad_stream": "its data can't be read or received",
      "image.cut_short": "its stream was cut short",
      "job.cancelled": "`cancelled by a client`",
      "pool.no_space": "`no space left on device`",
      "service.overloaded": "`resource temporarily unavailable`: too many copies wait",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a disk",
        params: { id: "guests/g1/disk-0", dest: "guests/g2/disk-0" },
        result: shown("guests/g2/disk-0"),
      },
    ],
  },
  SetVolume: {
    summary: "Changes settings and tags of a volume, and answers with those that it has then",
    description:
      "What the request leaves out stays. A change that fails half-way may be repeated. An embedded pool has neither compression nor syncs of its own: it refuses both.",
    params: {
      id,
      compression: optional(
        text("How new blocks are compressed, as zfsprops(7) has it: `lz4`, `zstd`, `off` and others."),
      ),
      sync: optional(
        word(SYNC_WORDS, "When writes are on the disk: as they ask for it, always, or never for sure."),
      ),
      readonly: optional(flag("Whether its device refuses writes.")),
      provisioning: optional(provisioning),
      tags: optional(
        texts("Tags by their names, at most 1024 printable characters each. One with an empty value goes."),
      ),
      pool,
      ...termsParams,
    },
    result: oneVolume,
    effect: "repeatable",
    answeredBy: "pool",
    failures: {
      ...ofAVolume,
      "request.missing_field": "`need an id`, or `need a property to set`",
      "request.invalid": "a value that the setting can't have, or a setting that the driver has not",
      "dataset.read_only": "of an embedded pool: its data is a snapshot's too",
      "dataset.busy": "it is in use",
      "pool.no_space": "`no space left on device`: there is no room to keep for a thick volume",
    },
    since: "0.1.0",
    examples: [
      {
        name: "a tag",
        params: { id: "guests/g1/disk-0", tags: { owner: "ada", old: "" } },
        result: withProperties,
      },
    ],
  },
  GetVolumeProperties: {
    summary: "Shows the settings and the tags of a volume",
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
    examples: [{ name: "a disk", params: { id: "guests/g1/disk-0" }, result: withProperties }],
  },
};
