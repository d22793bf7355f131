import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { CLI } from "./daemon.js";
import { until } from "./until.js";

/** Why there is no pseudo-terminal here; undefined where there is. Source: util-linux. */
export const noTerminal = spawnSync("script", ["--version"], { encoding: "utf8" }).stdout?.includes(
  "util-linux",
)
  ? undefined
  : "there is no script(1) of util-linux";

/** Control sequences of ECMA-48. */
const SEQUENCES = new RegExp(`${String.fromCharCode(0x1b)}\\[[?\\d;]*[A-Za-z]`, "g");

/** A text as a person reads it. */
export function withoutSequences(text: string): string {
  return text.replace(SEQUENCES, "");
}

/** A command on a terminal of its own. */
export interface Terminal {
  /** What it has shown until now, with all control sequences. */
  shown(): string;
  /** The same as a person reads it: without colours and other sequences. */
  text(): string;
  /** Types something. */
  type(text: string): void;
  /** Resolves when its text holds this. Rejects with the text after a while. */
  sees(what: string | RegExp, limitMs?: number): Promise<void>;
  /** Its exit status. A signal counts 128 and its number. */
  readonly ended: Promise<number | null>;
  readonly child: ChildProcess;
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

interface TerminalOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly columns?: number;
  readonly rows?: number;
}

/** Runs a line of sh on a pseudo-terminal. */
export function onTerminal(
  line: string,
  { env = {}, cwd, columns = 100, rows = 30 }: TerminalOptions = {},
): Terminal {
  const sized = `stty cols ${columns} rows ${rows} 2>/dev/null; exec ${line}`;
  const child = spawn("script", ["-qec", sized, "/dev/null"], {
    cwd,
    env: { ...process.env, NO_COLOR: "", TERM: "xterm", SHELL: "/bin/sh", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const text = () => withoutSequences(output).replaceAll("\r\n", "\n");
  return {
    child,
    shown: () => output,
    text,
    type: (typed) => void child.stdin.write(typed),
    sees: async (what, limitMs = 30_000) => {
      const holds = () => (typeof what === "string" ? text().includes(what) : what.test(text()));
      await until(`the terminal shows ${what}`, holds, limitMs).catch((error: Error) => {
        throw new Error(`${error.message}; it shows:\n${text()}`);
      });
    },
    ended: new Promise((resolve) => child.once("close", (status) => resolve(status))),
  };
}

/** Runs `imagestore` on a pseudo-terminal. */
export function imagestoreOnTerminal(words: readonly string[], options: TerminalOptions = {}): Terminal {
  return onTerminal([process.execPath, CLI, ...words].map(quoted).join(" "), options);
}
