import { setTimeout as sleep } from "node:timers/promises";
import type { Fault, UnderWay } from "./campaign.js";
import type { RunProcess } from "./processes-of-run.js";

const WAIT_FOR_CHILD_MS = 1_500;
const STOPPED_MS = 300;

const isRunner = ({ command }: RunProcess) => command.includes("workers/runner.js");

/** Sends a signal. @returns false if the process has ended. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Waits for a child of some kind, since most live for a moment. */
async function findChild(
  { children, random }: UnderWay,
  isWanted: (child: RunProcess) => boolean,
): Promise<RunProcess | undefined> {
  for (const limit = performance.now() + WAIT_FOR_CHILD_MS; performance.now() < limit; await sleep(2)) {
    const wanted = children().filter(isWanted);
    if (wanted.length > 0) return random.pick(wanted);
  }
  return undefined;
}

/** What a child does, for the report: `send`, `receive`, `zfs destroy`. */
function kindOf({ command }: RunProcess): string {
  return (
    /(send|receive)-process/.exec(command)?.[1] ??
    /'?(zfs|zpool)'? '?([a-z]+)'?/.exec(command)?.slice(1, 3).join(" ") ??
    "command"
  );
}

export const killDaemon: Fault = async ({ daemon }) => {
  signal(daemon.pid, "SIGKILL");
  await daemon.exited;
  return "SIGKILL of the daemon";
};

export const killRunner: Fault = async (underWay) => {
  const runner = await findChild(underWay, isRunner);
  return runner && signal(runner.pid, "SIGKILL") ? "SIGKILL of the runner" : "";
};

/** The runner is not continued: the daemon has to kill it. */
export const stopRunner: Fault = async (underWay) => {
  const runner = await findChild(underWay, isRunner);
  return runner && signal(runner.pid, "SIGSTOP") ? "SIGSTOP of the runner" : "";
};

export const killChild: Fault = async (underWay) => {
  const child = await findChild(underWay, (each) => !isRunner(each));
  return child && signal(child.pid, "SIGKILL") ? `SIGKILL of ${kindOf(child)}` : "";
};

export const pauseChild: Fault = async (underWay) => {
  const child = await findChild(underWay, (each) => !isRunner(each));
  if (!child || !signal(child.pid, "SIGSTOP")) return "";
  await sleep(STOPPED_MS);
  signal(child.pid, "SIGCONT");
  return `SIGSTOP of ${kindOf(child)} for ${STOPPED_MS} ms`;
};
