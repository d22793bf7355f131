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

/** The same log, but each line has these fields too. */
export function logWith(log: ActorLog, known: LogFields): ActorLog {
  const level =
    (name: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      log[name](message, { ...known, ...fields });
  return { debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") };
}
