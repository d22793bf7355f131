import { closeSync, openSync, writeSync } from "node:fs";
import type { Logger } from "pino";
import type { AuditRecord } from "../../protocol/storage/audit-record.js";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { subjectsOf } from "../../protocol/storage/subjects.js";
import type { Config } from "../config/schema.js";
import { type CallReport, isChange } from "./call-report.js";

/** A file with a JSON line for each change, and for each call that was not allowed. */
export interface AuditFile {
  write(call: CallReport): void;
  /** Opens the file anew, because the one that is open may have been moved away. */
  reopen(): void;
  close(): void;
}

/** Where no file is configured. */
const NO_AUDIT: AuditFile = { write: () => {}, reopen: () => {}, close: () => {} };

function lineOf(call: CallReport): string {
  const { caller, client, method, pool, operation, code, message, requestId } = call;
  const { peer } = client;
  const datasets = operation ? subjectsOf(operation) : [];
  const time = new Date().toISOString();
  const line: AuditRecord = { time, caller, peer, method, pool, datasets, code, message, requestId };
  return `${JSON.stringify(line)}\n`;
}

/** The audit file of a configuration. Fails as openAuditFile does. */
export function openAudit(
  { file }: Config["audit"],
  log: Pick<Logger, "error" | "info">,
  onLost: () => void,
): Outcome<AuditFile> {
  return file === undefined ? succeed(NO_AUDIT) : openAuditFile(file, log, onLost);
}

/**
 * Opens the file, which is its owner's alone, and appends to it. A line is with the kernel before its client
 * has the answer. A line that can't be written, on a full disk say, is lost: the log tells of the first, and
 * `onLost` is called for each. Fails, with one line for the administrator: it can't be opened.
 */
function openAuditFile(
  path: string,
  log: Pick<Logger, "error" | "info">,
  onLost: () => void,
): Outcome<AuditFile> {
  const open = () => openSync(path, "a", 0o600);
  let file: number;
  /** The last line could not be written: the next one that can ends what may be a part of it. */
  let isBroken = false;
  try {
    file = open();
  } catch (error) {
    return fail("internal", `the audit file can't be opened: ${messageOf(error)}`);
  }

  function write(text: string): void {
    const bytes = Buffer.from(isBroken ? `\n${text}` : text);
    let written = 0;
    while (written < bytes.length) written += writeSync(file, bytes, written);
  }

  return succeed({
    write: (call) => {
      if (!isChange(call) && call.code !== "access.denied") return;
      try {
        write(lineOf(call));
        if (isBroken) log.info({ path }, "the audit file is written again");
        isBroken = false;
      } catch (error) {
        onLost();
        if (!isBroken) log.error({ path, reason: messageOf(error) }, "lines of the audit file are lost");
        isBroken = true;
      }
    },
    reopen: () => {
      try {
        const next = open();
        closeSync(file);
        file = next;
      } catch (error) {
        log.error({ path, reason: messageOf(error) }, "the audit file can't be opened anew, and stays");
      }
    },
    close: () => closeSync(file),
  });
}
