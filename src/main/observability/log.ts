import { type Logger, pino } from "pino";
import type { LogLevelName } from "../config/schema.js";

/** Logs JSON lines to stderr. stdout stays free for the output of commands. */
export function createLog(level: LogLevelName): Logger {
  return pino(
    { name: "imagestore", level, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}
