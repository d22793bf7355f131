import { execFile } from "node:child_process";
import { CommandFailure } from "./command-failure.js";

/** A program is not installed. */
export class MissingTool extends CommandFailure {
  constructor(readonly program: string) {
    super(`${program} is not installed`);
  }
}

/** How a program ended. */
interface ToolEnd {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Larger than the map of any disk that is not split into millions of pieces. */
const OUTPUT_LIMIT_BYTES = 256 * 2 ** 20;
/** To look through a large disk on slow storage may take minutes. */
const TIME_LIMIT_MS = 600_000;

/** The first line that a program wrote to stderr, without its own name. */
export function firstLine(program: string, stderr: string): string {
  const [line = ""] = stderr.trimStart().split("\n", 1);
  return line.startsWith(`${program}: `) ? line.slice(program.length + 2) : line;
}

/**
 * Runs a program to its end, in the C locale, and without a stdin. Fails: a CommandFailure when it is not
 * installed, is ended by a signal, takes too long or writes too much. Any exit status is a success here.
 */
export function runTool(argv: readonly string[]): Promise<ToolEnd> {
  const [program = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const limits = { timeout: TIME_LIMIT_MS, killSignal: "SIGKILL", maxBuffer: OUTPUT_LIMIT_BYTES } as const;
    const env = { ...process.env, LC_ALL: "C" };
    const child = execFile(program, args, { ...limits, env }, (error, stdout, stderr) => {
      if (error?.code === "ENOENT") return reject(new MissingTool(program));
      const { exitCode, signalCode } = child;
      // It is negative where the program was not started.
      if (exitCode !== null && exitCode >= 0) return resolve({ status: exitCode, stdout, stderr });
      const how = signalCode === null ? `failed: ${error?.message}` : `was ended by ${signalCode}`;
      reject(new CommandFailure(`${program} ${how}`));
    });
    child.stdin?.end();
  });
}
