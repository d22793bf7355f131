import type { AuditFilter, AuditRecord } from "../../protocol/storage/audit-record.js";
import { isWithin } from "../../protocol/storage/names.js";

const isText = (value: unknown): value is string => typeof value === "string";
const isTextOrNone = (value: unknown): value is string | undefined => value === undefined || isText(value);

/** A line of the audit file. Undefined: the daemon has not written it, or not all of it. */
export function readAuditLine(text: string): AuditRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { time, caller, peer, method, pool, datasets, code, message, requestId } = Object(value);
  if (!isText(time) || Number.isNaN(Date.parse(time))) return undefined;
  if (!isText(peer) || !isText(method) || !isText(pool) || !isText(code) || !isText(requestId)) {
    return undefined;
  }
  if (!Array.isArray(datasets) || !datasets.every(isText)) return undefined;
  if (!isTextOrNone(caller) || !isTextOrNone(message)) return undefined;
  return { time, caller, peer, method, pool, datasets, code, message, requestId };
}

/** Whether a name is another or below it: a dataset, a snapshot or a bookmark of one. */
function isAtOrBelow(name: string, above: string): boolean {
  return isWithin(name, above) || name.startsWith(`${above}#`);
}

function isOutcome({ code }: AuditRecord, outcome: string): boolean {
  return outcome === "failed" ? code !== "ok" : outcome === "" || outcome === code;
}

/** Whether a line is one of those that are asked for. */
export function isAskedFor(line: AuditRecord, filter: AuditFilter): boolean {
  const { caller, method, outcome, dataset, pool, sinceMs, untilMs } = filter;
  const ms = Date.parse(line.time);
  if (ms < sinceMs || ms >= untilMs) return false;
  if (caller !== "" && line.caller !== caller) return false;
  if (method !== "" && line.method !== method) return false;
  if (!isOutcome(line, outcome)) return false;
  if (pool !== "" && line.pool !== pool) return false;
  if (dataset === "") return true;
  return line.datasets.some(
    (name) => isAtOrBelow(name, dataset) || isAtOrBelow(name, `${line.pool}/${dataset}`),
  );
}
