import { count, flag, type JsonSchema, mebibytes, object, orNull, text, time } from "./json-schema.js";

/** The records of answers about backups. */
export const BACKUP_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  Backup: object(
    {
      id: text(
        "The name of its objects in the store: `POOLGUID/DATASETGUID/TOGUID.full`, or with `FROMGUID-TOGUID.inc`.",
      ),
      snapshot: text("The snapshot, as it was called then."),
      guid: text("The guid of the snapshot, in digits."),
      from: orNull(text("The guid of the snapshot that it builds on; null for a full one.")),
      bytes: count("Of its stream.", "bytes"),
      size: mebibytes("Of the volume."),
      created: time("When the snapshot was made."),
      taken: time("When the backup was."),
      sha256: text("Of its stream, in hex."),
      restorable: flag("Whether all that it builds on is listed."),
      encrypted: flag("Whether it is encrypted with age: a restore needs an identity of the profile's."),
    },
    [],
    "A backup of a snapshot.",
  ),
};
