import type { Logger } from "pino";
import { isRead } from "../../protocol/storage/operation-kinds.js";
import { subjectsOf } from "../../protocol/storage/subjects.js";
import type { CallReport } from "./call-report.js";

/**
 * Writes a line for each call: a change that failed at the level warn, so that it is in the log of
 * every daemon, and all else at info. `datasets`: the names that the call was about.
 */
export function logCall(log: Logger, call: CallReport): void {
  const isFailedChange = call.code !== "ok" && changesPool(call);
  const level = isFailedChange ? "warn" : "info";
  if (!log.isLevelEnabled(level)) return;
  const { operation, ms, ...told } = call;
  const datasets = operation ? subjectsOf(operation) : [];
  log[level](
    { ...told, datasets, ms: Math.round(ms * 100) / 100 },
    isFailedChange ? "a change failed" : "call",
  );
}

/** A request that was refused without a look at the pool is no change, and a download is none. */
function changesPool({ operation }: CallReport): boolean {
  return operation !== undefined && !isRead(operation) && operation.op !== "OpenSend";
}
