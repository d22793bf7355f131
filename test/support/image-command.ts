import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { CLI } from "./daemon.js";

export interface CommandEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

interface CommandOptions {
  readonly stdin?: "ignore" | "pipe" | number;
  /** Options of Node itself. */
  readonly node?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Take nothing from its stdout, which is a pipe: it stands still when that is full. */
  readonly unread?: boolean;
}

/** Starts `imagestore image`, as it is built in dist. */
export function startImageCommand(
  args: readonly string[],
  { stdin = "ignore", node = [], env = {}, unread = false }: CommandOptions = {},
): { readonly child: ChildProcess; readonly ended: Promise<CommandEnd> } {
  const child = spawn(process.execPath, [...node, CLI, "image", ...args], {
    stdio: [stdin, "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const stdout: Buffer[] = [];
  let stderr = "";
  if (!unread) child.stdout?.on("data", (piece: Buffer) => stdout.push(piece));
  child.stderr?.on("data", (piece: Buffer) => {
    stderr += piece;
  });
  child.stdin?.on("error", () => {});
  const ended = new Promise<CommandEnd>((resolve) => {
    child.once("close", (status, signal) =>
      resolve({ status, signal, stdout: Buffer.concat(stdout), stderr }),
    );
  });
  return { child, ended };
}

/** A file of `bytes` with random data at some places, holes elsewhere. */
export function sparseFile(
  path: string,
  bytes: number,
  places: readonly (readonly [number, number])[],
): void {
  const file = openSync(path, "w");
  ftruncateSync(file, bytes);
  for (const [offset, length] of places) writeSync(file, randomBytes(length), 0, length, offset);
  closeSync(file);
}
