import { Counter, Gauge, type Registry } from "prom-client";
import type { CallReport } from "./call-report.js";

/** What can be backed up, and where to: so many series there are, and no more. */
export interface BackupPlaces {
  readonly pools: readonly string[];
  /** The profiles of `backups`. */
  readonly profiles: readonly string[];
}

type ObserveBackup = (call: Pick<CallReport, "operation" | "pool" | "code">, answer: unknown) => void;

const LABELS = ["pool", "profile"] as const;
const BACKUP_OUTCOMES = ["full", "increment", "present", "failed"] as const;
const CHECK_OUTCOMES = ["ok", "damaged", "failed"] as const;

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** Of a backup that was made: of which kind it is, and the bytes that went to the store. */
function madeBackup(answer: unknown): { readonly outcome: string; readonly bytes: number } {
  const why = member(answer, "why");
  if (why === "present") return { outcome: "present", bytes: 0 };
  const bytes = Number(member(member(answer, "backup"), "bytes"));
  return { outcome: why === "increment" ? "increment" : "full", bytes };
}

/** Registers the metrics of backups. @returns what counts a call that has ended, if it was about one. */
export function addBackupMetrics(registry: Registry, { pools, profiles }: BackupPlaces): ObserveBackup {
  const registers = [registry];
  const lastSuccess = new Gauge({
    name: "imagestore_backup_last_success_timestamp_seconds",
    help: "When a backup of the pool to the store was made last, in seconds since 1970; since the daemon's start.",
    ...{ labelNames: LABELS, registers },
  });
  const ended = new Counter({
    name: "imagestore_backups_ended_total",
    help: "Backups that have ended: full ones, increments, snapshots that had one, and those that failed.",
    ...{ labelNames: [...LABELS, "outcome"], registers },
  });
  const bytes = new Counter({
    name: "imagestore_backup_bytes_total",
    help: "Bytes of the streams of backups that were made.",
    ...{ labelNames: LABELS, registers },
  });
  const checks = new Counter({
    name: "imagestore_backup_checks_total",
    help: "Looks at backups by VerifyBackup and RestoreBackup that have ended.",
    ...{ labelNames: [...LABELS, "outcome"], registers },
  });
  for (const pool of pools) {
    for (const profile of profiles) {
      bytes.inc({ pool, profile }, 0);
      for (const outcome of BACKUP_OUTCOMES) ended.inc({ pool, profile, outcome }, 0);
      for (const outcome of CHECK_OUTCOMES) checks.inc({ pool, profile, outcome }, 0);
    }
  }
  return ({ operation, pool, code }, answer) => {
    if (operation === undefined || !("profile" in operation)) return;
    const { op, profile } = operation;
    // A caller may name what it likes.
    if (!profiles.includes(profile)) return;
    if (op === "BackupSnapshot") {
      if (code !== "ok") return ended.inc({ pool, profile, outcome: "failed" });
      const made = madeBackup(answer);
      ended.inc({ pool, profile, outcome: made.outcome });
      bytes.inc({ pool, profile }, made.bytes);
      lastSuccess.set({ pool, profile }, Date.now() / 1000);
    }
    if (op === "VerifyBackup" || op === "RestoreBackup") {
      const outcome = code === "ok" ? "ok" : code === "backup.damaged" ? "damaged" : "failed";
      checks.inc({ pool, profile, outcome });
    }
  };
}
