import { type Verb, verbsOf } from "./verb.js";
import {
  blockSize,
  dryRun,
  flag,
  needed,
  provisioning,
  size,
  snapshot,
  tags,
  text,
  volume,
} from "./verb-parameters.js";
import { parseSwitch } from "./verb-parsers.js";

/** The commands for volumes and for what is kept of them. */
export const DATASET_VERBS: readonly Verb[] = [
  ...verbsOf("volume", "volumes", [
    {
      name: "list",
      method: "ListVolumes",
      summary: "list the volumes of a pool",
      options: [
        text("tag", "--tag <tag>", "only those that have the tag, NAME or NAME=VALUE"),
        text("origin", "--origin <name>", "only clones of this snapshot, or of any snapshot of this volume"),
      ],
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
      name: "copy",
      method: "CopyVolume",
      summary: "make a volume of all the data of a volume or a snapshot, which shares nothing with it",
      arguments: [
        text("id", "<source>", "VOLUME or VOLUME@SNAPSHOT"),
        text("dest", "<volume>", "the new volume's name"),
      ],
      lasts: true,
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
      options: [dryRun],
      destroys: "dataset",
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
      options: [flag("recursive", "-r, --recursive", "those of the same name below it too"), dryRun],
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
        dryRun,
      ],
      destroys: "newer snapshots",
    },
  ]),
  ...verbsOf("bookmark", "bookmarks", [
    {
      name: "list",
      method: "ListBookmarks",
      summary: "list the bookmarks of a pool, or those below a dataset",
      arguments: [text("id", "[dataset]", "the dataset's name")],
      isList: true,
    },
    {
      name: "create",
      method: "CreateBookmark",
      summary: "keep what increments need of a snapshot, which can be deleted then",
      arguments: [snapshot, text("dest", "<name>", "the bookmark's name, what follows the #")],
    },
    {
      name: "delete",
      method: "DeleteBookmark",
      summary: "delete a bookmark",
      arguments: [text("id", "<bookmark>", "VOLUME#BOOKMARK")],
      options: [dryRun],
    },
  ]),
];
