import type { AuditPage } from "../../storage/audit-record.js";
import { FAILURES, fail, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { joinWithin } from "../joined.js";
import { string, struct, uint64 } from "../params.js";
import { type Method, methodOnNode } from "./method.js";

const MOST_LINES = 1_000;
const DEFAULT_LINES = 100;

function encodeAudit({ lines, skipped, next }: AuditPage, mostBytes: number): string | undefined {
  const joined = joinWithin(lines, (line) => JSON.stringify(line), mostBytes);
  if (joined === undefined) return undefined;
  return `{"lines":[${joined}],"skipped":${skipped},"next":${JSON.stringify(next)}}`;
}

/** Milliseconds since 1970. Fails: request.invalid. */
function momentOf(field: string, text: string, none: number): Outcome<number> {
  if (text === "") return succeed(none);
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return succeed(ms);
  const wanted = "RFC 3339, such as 2026-01-02T03:04:05Z";
  return tellAbout(fail("request.invalid", "not a time"), { field, found: text, wanted });
}

const isOutcome = (text: string) => ["", "ok", "failed"].includes(text) || Object.hasOwn(FAILURES, text);

/** What main answers itself about who has changed what. */
export const auditMethods: readonly Method[] = [
  methodOnNode({
    operation: "ListAudit",
    role: "admin",
    struct: "AuditRequest",
    request: struct({
      since: string,
      until: string,
      caller: string,
      method: string,
      outcome: string,
      dataset: string,
      pool: string,
      limit: uint64,
      after: string,
    }),
    plan: ({ since, until, limit, after, ...texts }) => {
      const sinceMs = momentOf("since", since, Number.NEGATIVE_INFINITY);
      if (!sinceMs.ok) return sinceMs;
      const untilMs = momentOf("until", until, Number.POSITIVE_INFINITY);
      if (!untilMs.ok) return untilMs;
      const { outcome } = texts;
      if (!isOutcome(outcome)) {
        const wanted = "ok, failed or the reason of a failure";
        return tellAbout(fail("request.invalid", "not an outcome"), {
          field: "outcome",
          found: outcome,
          wanted,
        });
      }
      const filter = { sinceMs: sinceMs.value, untilMs: untilMs.value, ...texts };
      const most = limit > BigInt(MOST_LINES) ? MOST_LINES : Number(limit);
      return succeed({ op: "ListAudit", filter, limit: most || DEFAULT_LINES, after });
    },
    encode: encodeAudit,
  }),
];
