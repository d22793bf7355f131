import { AUDIT_VERBS } from "./audit-verbs.js";
import { BACKUP_VERBS } from "./backup-verbs.js";
import { DATASET_VERBS } from "./dataset-verbs.js";
import { TRANSFER_VERBS } from "./transfer-verbs.js";
import { type Verb, verbsOf } from "./verb.js";
import { disk, dryRun, flag, guest, image, imageRequest, job, needed, text } from "./verb-parameters.js";
import { parseDuration, parseQuota } from "./verb-parsers.js";

/** Every method of the daemon, as a command. `imagestore call` calls any by its name. */
export const VERBS: readonly Verb[] = [
  ...verbsOf("image", "images", [
    {
      name: "list",
      method: "ListImages",
      summary: "list the images",
      options: [
        text("type", "--type <type>", "only those of this type"),
        flag("trash", "--trash", "those that were deleted and still have clones"),
      ],
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
      options: [
        text(
          "whenInUse",
          "--when-in-use <what>",
          "trash: one with clones goes too, its room with the last of them",
        ),
        dryRun,
      ],
      destroys: "image",
    },
    {
      name: "restore",
      method: "RestoreImage",
      summary: "bring an image back from the trash",
      arguments: [image],
      options: [
        text("volume", "--volume <name>", "which of several that had this id, as list --trash --json shows"),
      ],
    },
    {
      name: "prune",
      method: "PruneImages",
      summary: "delete the images that nothing is cloned from and that were not used for long",
      options: [
        {
          ...text(
            "olderThanSeconds",
            "--older-than <time>",
            "only those that came so long ago, 12h, 30d, 8w",
          ),
          parse: parseDuration,
        },
        {
          ...text("unusedForSeconds", "--unused-for <time>", "only those that were used so long ago"),
          parse: parseDuration,
        },
        text("type", "--type <type>", "only those of this type"),
        dryRun,
      ],
      destroys: "old images",
    },
    {
      name: "clone",
      method: "CloneImage",
      summary: "make a volume of an image",
      arguments: [image, text("dest", "<volume>", "the new volume's name")],
      records: "volumes",
    },
  ]),
  ...DATASET_VERBS,
  ...TRANSFER_VERBS,
  ...verbsOf("backup", "backups", BACKUP_VERBS),
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
      name: "show-quota",
      method: "GetGuestQuota",
      summary: "show what the disks of a guest may take together, and take",
      arguments: [guest],
      records: "quotas",
    },
    {
      name: "quota",
      method: "SetGuestQuota",
      summary: "limit what the disks of a guest may take together, with their snapshots",
      arguments: [guest, { ...text("quota", "<size>", "such as 100G, or none"), parse: parseQuota }],
      records: "quotas",
    },
    {
      name: "delete-disks",
      method: "DeleteGuestsDisks",
      summary: "delete the disks of a guest",
      arguments: [guest],
      options: [dryRun],
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
    { name: "show", method: "GetJob", summary: "show a job", arguments: [job] },
    {
      name: "wait",
      method: "WaitJob",
      summary: "wait until a job has ended, and show it",
      arguments: [job],
    },
    {
      name: "cancel",
      method: "CancelJob",
      summary: "cancel a fetch, a copy or a download, which leaves nothing behind",
      arguments: [job],
    },
  ]),
  ...verbsOf("audit", "lines", AUDIT_VERBS),
];
