import type { Logger } from "pino";
import { type Outcome, succeed } from "../protocol/storage/failures.js";
import { type Identities, openIdentities } from "./access/open-identities.js";
import type { Config } from "./config/schema.js";
import { type AuditFile, openAudit } from "./observability/audit-file.js";

/** The daemon's own files that are open while it runs. */
export interface DaemonFiles {
  readonly identify: Identities["identify"];
  readonly audit: AuditFile;
  close(): Promise<void>;
}

/** `onAuditLost` as openAudit has it. Fails as openIdentities and openAudit do. */
export function openFiles(
  { auth, audit: settings }: Config,
  log: Logger,
  onAuditLost: () => void,
): Outcome<DaemonFiles> {
  const identities = openIdentities(auth, log);
  if (!identities.ok) return identities;
  const { identify, stop } = identities.value;
  const audit = openAudit(settings, log, onAuditLost);
  if (!audit.ok) {
    stop();
    return audit;
  }
  const close = async () => {
    stop();
    audit.value.close();
  };
  return succeed({ identify, audit: audit.value, close });
}
