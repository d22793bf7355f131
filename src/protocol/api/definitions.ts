import { AUDIT_DEFINITIONS } from "./audit-definitions.js";
import { BACKUP_DEFINITIONS } from "./backup-definitions.js";
import { BOOKMARK_DEFINITIONS } from "./bookmark-definitions.js";
import type { MethodDefinition } from "./definition.js";
import { GUEST_DEFINITIONS } from "./guest-definitions.js";
import { IMAGE_DEFINITIONS } from "./image-definitions.js";
import { JOB_DEFINITIONS } from "./job-definitions.js";
import { POOL_DEFINITIONS } from "./pool-definitions.js";
import { SNAPSHOT_DEFINITIONS } from "./snapshot-definitions.js";
import { TRANSFER_DEFINITIONS } from "./transfer-definitions.js";
import { VOLUME_DEFINITIONS } from "./volume-definitions.js";
import { VOLUME_VERB_DEFINITIONS } from "./volume-verb-definitions.js";

/** Every method by its name, as docs/api.md shows them. A test wants one for each row of the table. */
export const DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  ...IMAGE_DEFINITIONS,
  ...VOLUME_DEFINITIONS,
  ...VOLUME_VERB_DEFINITIONS,
  ...SNAPSHOT_DEFINITIONS,
  ...BOOKMARK_DEFINITIONS,
  ...TRANSFER_DEFINITIONS,
  ...BACKUP_DEFINITIONS,
  ...GUEST_DEFINITIONS,
  ...POOL_DEFINITIONS,
  ...JOB_DEFINITIONS,
  ...AUDIT_DEFINITIONS,
};
