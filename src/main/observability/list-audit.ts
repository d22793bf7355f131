import { Mutex } from "async-mutex";
import { isNarrowed } from "../../protocol/access/roles.js";
import type { AuditPage, AuditRecord } from "../../protocol/storage/audit-record.js";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed, withCause } from "../../protocol/storage/failures.js";
import type { NodeOperation } from "../../protocol/storage/node-operations.js";
import type { NodeHandlers } from "../rpc/node-handlers.js";
import { isAskedFor, readAuditLine } from "./audit-lines.js";
import { type AuditPlace, auditHasChanged, openPlace, textOfPlace } from "./audit-place.js";
import { linesBackwards } from "./backward-lines.js";

/** A page ends when so much of the file was read for it, however few lines were found. */
const MOST_READ_BYTES = 16 * 1024 * 1024;

const notForSome = fail("access.denied", "not allowed: this needs a token for all pools and names");
const noFile = fail("request.invalid", "no audit file is kept: audit.file is not configured");

type Ask = NodeOperation<"ListAudit">;

/** Reads until the page is full, the file or the time asked for ends, or enough was read. */
async function readPage(
  { file, end }: AuditPlace,
  { filter, limit }: Ask,
  isGone: () => boolean,
): Promise<Outcome<AuditPage>> {
  const lines: AuditRecord[] = [];
  let skipped = 0;
  let left = end;
  const last = () => succeed({ lines, skipped, next: null });
  const goesOnAt = async (at: number) =>
    at === 0 ? last() : succeed({ lines, skipped, next: await textOfPlace({ file, end: at }) });
  for await (const piece of linesBackwards(file, end)) {
    left = piece.left;
    skipped += piece.tooLong;
    for (const { at, text } of piece.lines) {
      const line = readAuditLine(text);
      if (line === undefined) {
        skipped++;
        continue;
      }
      if (Date.parse(line.time) < filter.sinceMs) return last();
      if (!isAskedFor(line, filter)) continue;
      lines.push(line);
      if (lines.length === limit) return goesOnAt(at);
    }
    if (isGone() || end - left >= MOST_READ_BYTES) return goesOnAt(left);
  }
  return left === 0 ? last() : auditHasChanged;
}

async function listAudit(path: string, ask: Ask, isGone: () => boolean): Promise<Outcome<AuditPage>> {
  let place: AuditPlace | undefined;
  try {
    const opened = await openPlace(path, ask.after);
    if (!opened.ok) return opened;
    place = opened.value;
    return place ? await readPage(place, ask, isGone) : succeed({ lines: [], skipped: 0, next: null });
  } catch (error) {
    return withCause(fail("internal", "the audit file can't be read"), messageOf(error));
  } finally {
    await place?.file.close();
  }
}

/**
 * Answers from the audit file, for those who may see all of the node. One reads at a time, in pieces between
 * which main does what else there is.
 */
export function auditHandlers(path: string | undefined): Pick<NodeHandlers, "ListAudit"> {
  const oneAtATime = new Mutex();
  return {
    ListAudit: (ask, { caller, client }) => {
      if (isNarrowed(caller.grant)) return notForSome;
      if (path === undefined) return noFile;
      let isGone = false;
      client.onDisconnect(() => {
        isGone = true;
      });
      return oneAtATime.runExclusive(() => listAudit(path, ask, () => isGone));
    },
  };
}
