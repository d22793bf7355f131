import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How a curl ended. */
export interface CurlEnd {
  /** Its exit status: 0 after a clean end, RESET after a reset; null if it was killed. */
  readonly status: number | null;
  readonly bytes: number;
  readonly sha256: string;
  /** All heads that came, the newest last. */
  readonly head: string;
}

/** The exit status of curl for a connection that was reset. */
export const RESET = 56;

/**
 * A download by curl. It tells a reset from an end, which Node's clients do not always: libuv may
 * take a reset for an end.
 */
export interface Curl {
  readonly process: ChildProcess;
  /** What has come so far, in bytes. */
  bytes(): number;
  /** Whether the whole head has come. */
  hasHead(): boolean;
  /** Reads nothing more, so that the connection fills up. */
  pause(): void;
  resume(): void;
  readonly ended: Promise<CurlEnd>;
}

export function curl(url: string, args: readonly string[] = []): Curl {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-curl-"));
  const heads = join(folder, "heads");
  const readHead = () => {
    try {
      return readFileSync(heads, "latin1");
    } catch {
      return "";
    }
  };
  const child = spawn("curl", ["-sS", "-N", "--dump-header", heads, ...args, url], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const hash = createHash("sha256");
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  const ended = new Promise<CurlEnd>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => {
      resolve({ status, bytes, sha256: hash.digest("hex"), head: readHead() });
      rmSync(folder, { recursive: true, force: true });
    });
  });
  return {
    process: child,
    bytes: () => bytes,
    hasHead: () => readHead().endsWith("\r\n\r\n"),
    pause: () => child.stdout.pause(),
    resume: () => child.stdout.resume(),
    ended,
  };
}

/** A field of the newest head. */
export function field(head: string, name: string): string | undefined {
  const newest = head.trimEnd().split("\r\n\r\n").at(-1) ?? "";
  return new RegExp(`^${name}: (.*)$`, "im").exec(newest)?.[1]?.trimEnd();
}
