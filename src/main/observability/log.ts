import { fstatSync } from "node:fs";
import { type DestinationStream, type Logger, pino } from "pino";
import type { Config } from "../config/schema.js";
import { prettyLine } from "./pretty-line.js";

const STDERR = 2;

/** By level of pino: what sd-daemon(3) has at the head of a line for the priorities of syslog(3). */
const JOURNAL_PRIORITIES: Readonly<Record<number, string>> = {
  10: "<7>",
  20: "<7>",
  30: "<6>",
  40: "<4>",
  50: "<3>",
  60: "<2>",
};

/** What a line of JSON is written as. */
type LineForm = (json: string) => string;

/**
 * Logs to stderr: lines of JSON, or those for people. stdout stays free for the output of commands. Where
 * the journal reads stderr, each line has its priority in front, which the journal takes off again.
 * @param paint gives the words of a line for people their colours.
 */
export function createLog(
  { level, format }: Config["log"],
  env: NodeJS.ProcessEnv,
  paint: Parameters<typeof prettyLine>[1],
): Logger {
  const stderr = pino.destination({ fd: STDERR, sync: true });
  const form = format === "pretty" ? (json: string) => prettyLine(json, paint) : undefined;
  const isJournal = isReadByJournal(env.JOURNAL_STREAM);
  return pino(
    { name: "imagestore", level, timestamp: pino.stdTimeFunctions.isoTime },
    form || isJournal ? formed(stderr, form ?? ((json) => json), isJournal) : stderr,
  );
}

/** The journal names the device and the inode of what it reads: systemd.exec(5). */
function isReadByJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(STDERR, { bigint: true });
  return stream === `${dev}:${ino}`;
}

function formed(target: DestinationStream, form: LineForm, hasPriorities: boolean): DestinationStream {
  const stream = {
    // Pino sets the level of each line then.
    [pino.symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    write(json: string) {
      const priority = hasPriorities ? (JOURNAL_PRIORITIES[stream.lastLevel] ?? "") : "";
      // The journal takes each line for itself, those of a stack too.
      target.write(form(json).replace(/^(?=.)/gm, priority));
    },
  };
  return stream;
}
