import { type Logger, pino } from "pino";
import type { LogLevelName } from "../config/schema.js";

/** JSON lines on stderr; stdout stays free for what commands print. */
export function createLog(level: LogLevelName): Logger {
  return pino(
    { name: "imagestore", level, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}
