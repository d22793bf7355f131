import { flag, needed, snapshot, text } from "./verb-parameters.js";
import { parseCount } from "./verb-parsers.js";

const profile = needed(text("profile", "--profile <profile>", "of the daemon's configuration: the store"));
const backup = (flags: string) => text("id", flags, "the backup's id, or the guid of its snapshot");
const verify = text("verify", "--verify <how>", "content (default), or structure: no data is read first");

/** `imagestore backup …` */
export const BACKUP_VERBS = [
  {
    name: "create",
    method: "BackupSnapshot",
    summary: "store a snapshot in an object store",
    arguments: [snapshot],
    options: [profile, flag("full", "--full", "no increment of an earlier one")],
    lasts: true,
  },
  {
    name: "list",
    method: "ListBackups",
    summary: "list the backups in an object store, or those of a volume",
    arguments: [text("id", "[volume]", "the volume's name")],
    options: [profile],
    isList: true,
  },
  {
    name: "verify",
    method: "VerifyBackup",
    summary: "tell whether backups can be restored: all, or one",
    arguments: [backup("[backup]")],
    options: [profile, verify],
    lasts: true,
  },
  {
    name: "restore",
    method: "RestoreBackup",
    summary: "make a volume of a backup",
    arguments: [backup("<backup>"), text("dest", "<volume>", "the new volume's name")],
    options: [
      profile,
      verify,
      flag("dryRun", "-n, --dry-run", "change nothing: look, and show what would be"),
    ],
    records: "volumes",
    steps: "restore",
    lasts: true,
  },
  {
    name: "prune",
    method: "PruneBackups",
    summary: "remove old backups of a pool, and none that a kept one builds on",
    arguments: [text("id", "[volume]", "only those of this volume")],
    options: [
      profile,
      { ...text("keepLast", "--keep-last <count>", "keep so many of each volume"), parse: parseCount },
      { ...text("keepDays", "--keep-days <days>", "keep those of so many days"), parse: parseCount },
      flag("dryRun", "-n, --dry-run", "show what would go"),
    ],
    lasts: true,
  },
] as const;
