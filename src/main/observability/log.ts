import { fstatSync } from "node:fs";
import { type DestinationStream, type Logger, pino } from "pino";
import type { LogLevelName } from "../config/schema.js";

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

/**
 * Logs JSON lines to stderr. stdout stays free for the output of commands. Where the journal reads
 * stderr, each line has its priority in front, which the journal takes off again.
 */
export function createLog(level: LogLevelName, env: NodeJS.ProcessEnv): Logger {
  const stderr = pino.destination({ fd: STDERR, sync: true });
  return pino(
    { name: "imagestore", level, timestamp: pino.stdTimeFunctions.isoTime },
    isReadByJournal(env.JOURNAL_STREAM) ? withPriorities(stderr) : stderr,
  );
}

/** The journal names the device and the inode of what it reads: systemd.exec(5). */
function isReadByJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(STDERR, { bigint: true });
  return stream === `${dev}:${ino}`;
}

function withPriorities(target: DestinationStream): DestinationStream {
  const stream = {
    // Pino sets the level of each line then.
    [pino.symbols.needsMetadataGsym]: true,
    lastLevel: 0,
    write(line: string) {
      target.write(`${JOURNAL_PRIORITIES[stream.lastLevel] ?? ""}${line}`);
    },
  };
  return stream;
}
