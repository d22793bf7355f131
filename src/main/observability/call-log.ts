import type { Logger } from "pino";
import { subjectsOf } from "../../protocol/storage/subjects.js";
import { type CallReport, isChange } from "./call-report.js";

/**
 * Writes a line for each call: a change that failed at the level warn, so that it is in the log of
 * every daemon, and all else at info. `datasets`: the names that the call was about.
 */
export function logCall(log: Logger, call: CallReport): void {
  const isFailedChange = call.code !== "ok" && isChange(call);
  const level = isFailedChange ? "warn" : "info";
  if (!log.isLevelEnabled(level)) return;
  const { operation, ms, client, ...told } = call;
  const datasets = operation ? subjectsOf(operation) : [];
  log[level](
    { ...told, peer: client.peer, datasets, ms: Math.round(ms * 100) / 100 },
    isFailedChange ? "a change failed" : "call",
  );
}
