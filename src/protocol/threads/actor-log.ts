export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, unknown>>;

/** The log of a worker. Its lines go to the main thread, which writes them. */
export interface ActorLog {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export function createActorLog(
  write: (level: LogLevel, message: string, fields: LogFields) => void,
  debugEnabled: boolean,
): ActorLog {
  return {
    debug: (message, fields = {}) => {
      if (debugEnabled) write("debug", message, fields);
    },
    info: (message, fields = {}) => write("info", message, fields),
    warn: (message, fields = {}) => write("warn", message, fields),
    error: (message, fields = {}) => write("error", message, fields),
  };
}
