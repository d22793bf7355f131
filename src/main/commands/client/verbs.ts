import { TRANSFER_VERBS } from "./transfer-verbs.js";
import { type Verb, verbsOf } from "./verb.js";
import {
  blockSize,
  disk,
  flag,
  guest,
  image,
  imageRequest,
  job,
  needed,
  provisioning,
  size,
  snapshot,
  tags,
  text,
  volume,
} from "./verb-parameters.js";
import { parseCount, parseMoment, parseSwitch } from "./verb-parsers.js";


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
      lasts: true,
      options: imageRequest,
    },
    {
      name: "delete",
      method: "DeleteImage",
      summary: "delete an image",
      arguments: [image],
      destroys: "image",
    },
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
      destroys: "newer snapshots",
    },
  ]),
  ...TRANSFER_VERBS,
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
      destroys: "disks",
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
      arguments: [job],
    },
    {
      name: "wait",
      method: "WaitJob",
      summary: "wait until a job has ended, and show it",
      arguments: [job],
    },
    {
      name: "cancel",
      method: "CancelJob",
      summary: "cancel a fetch or a download, which leaves nothing behind",
      arguments: [job],
    },
  ]),
  ...verbsOf("audit", "lines", [
    {
      name: "list",
      method: "ListAudit",
      summary: "show who has changed what, newest first",
      arguments: [text("dataset", "[dataset]", "only about this name and what is below it")],
      options: [
        {
          ...text("since", "--since <when>", "only from then on: 12h ago, 30d, or a date"),
          parse: parseMoment,
        },
        { ...text("until", "--until <when>", "only before then"), parse: parseMoment },
        text("caller", "--caller <caller>", "only by this token's id, or this subject of a certificate"),
        text("method", "--method <method>", "only calls of this method, such as DeleteDataset"),
        text("outcome", "--outcome <outcome>", "ok, failed, or a reason such as access.denied"),
        { ...text("limit", "--limit <lines>", "the most lines (default 100)"), parse: parseCount },
      ],
      isList: true,
    },
  ]),
];
