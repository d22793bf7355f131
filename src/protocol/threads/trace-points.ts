import { closeSync, openSync, writeSync } from "node:fs";

/** Notes that a thread or process has come to a point, and does what is asked for there. */
export type Trace = (point: string) => void;

/** What happens at a point, once in the life of the daemon. */
interface TraceFault {
  readonly point: string;
  /** At which visit of the point, from 1. Each thread and process counts its own. */
  readonly visit: number;
  readonly action: string;
}

/** `POINT#VISIT:ACTION`. Throws for anything else: only tests and developers write it. */
function parseFault(text: string): TraceFault {
  const [, point = "", visit = "", action = ""] =
    /^([\w.-]+)#([1-9]\d*):(kill|stop|crash|delay-\d+)$/.exec(text) ?? [];
  if (point === "") throw new Error(`IMAGESTORE_TRACE_FAULT = ${text}: must be POINT#VISIT:ACTION`);
  return { point, visit: Number(visit), action };
}

/** True for the first caller of all threads and processes, also of later ones. */
function isFirst(path: string): boolean {
  try {
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch {
    return false;
  }
}

function act(action: string): void {
  if (action === "kill") process.kill(process.pid, "SIGKILL");
  else if (action === "stop") process.kill(process.pid, "SIGSTOP");
  else if (action === "crash") {
    process.nextTick(() => {
      throw new Error("a crash at a trace point");
    });
  } else {
    const ms = Number(action.slice("delay-".length));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  }
}

/**
 * The trace of a thread or process; undefined unless `IMAGESTORE_TRACE` names a file. Each point is
 * appended to the file as a line, `PART.POINT`, before the thread goes on. `IMAGESTORE_TRACE_FAULT`
 * names a visit of a point and what to do there: `kill` or `stop` the process, `crash` the
 * thread, or `delay-MS` it. The file `….acted` shows that it was done. See docs/fault-injection.md.
 */
export function openTrace(env: NodeJS.ProcessEnv, part: string): Trace | undefined {
  const { IMAGESTORE_TRACE: path = "", IMAGESTORE_TRACE_FAULT: text = "" } = env;
  if (path === "") return undefined;
  const fault = text === "" ? undefined : parseFault(text);
  const file = openSync(path, "a", 0o600);
  /** How often this thread or process has come to the point of the fault. */
  let visits = 0;
  return (name) => {
    const point = `${part}.${name}`;
    writeSync(file, `${point}\n`);
    if (point !== fault?.point || ++visits !== fault.visit) return;
    if (isFirst(`${path}.acted`)) act(fault.action);
  };
}

/**
 * `target` whose calls are points: `NAME.CALL.begin` before each and `NAME.CALL.end` after it, or
 * once its promise has settled. With `calls`, only those. Without a trace, `target` itself.
 */
export function traced<T extends object>(
  trace: Trace | undefined,
  name: string,
  target: T,
  calls?: readonly (keyof T & string)[],
): T {
  if (!trace) return target;
  const only = calls && new Set<string | symbol>(calls);
  return new Proxy(target, {
    get(_, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function" || (only && !only.has(key))) return value;
      return (...args: unknown[]): unknown => {
        const point = `${name}.${String(key)}`;
        trace(`${point}.begin`);
        const result: unknown = Reflect.apply(value, target, args);
        if (result instanceof Promise) return result.finally(() => trace(`${point}.end`));
        trace(`${point}.end`);
        return result;
      };
    },
  });
}
