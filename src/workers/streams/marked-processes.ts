import { readdirSync, readFileSync } from "node:fs";

/** In the environment of a command: whose end is its end. */
const VARIABLE = "IMAGESTORE_GUARD";

/** What a command has in its environment beside the rest, to be found by `mark`. */
export function markedEnvironment(mark: string): NodeJS.ProcessEnv {
  return { [VARIABLE]: mark };
}

/** pids of the processes with that mark, of those that this user may look into. */
export function findMarked(mark: string): number[] {
  const wanted = `\0${VARIABLE}=${mark}\0`;
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) && `\0${environmentOf(pid)}`.includes(wanted) ? [pid] : [];
  });
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    // It has ended, or is another user's.
    return "";
  }
}
