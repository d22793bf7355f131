import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { flag, mebibytes, object, oneOf, record, text } from "./json-schema.js";

const id = required(text("The volume's name, without the pool or with it."));
const oneVolume = object({ volumes: oneOf(record("Volume")) });
const shown = (name: string, size = 10240) => ({
  volumes: [{ id: `tank/${name}`, size, device: `/dev/zvol/tank/${name}` }],
});
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
    params: { id, dest: required(text("The new name, without the pool or with it.")), pool },
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
    params: { id, pool },
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
    },
    result: oneVolume,
    effect: "repeatable",
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
};
