import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "./daemon.js";
import { until } from "./until.js";

/** Stores that speak S3, each a process of its own on 127.0.0.1. */
export type EngineName = "s3rver" | "radosgw" | "swift";

export interface EngineProcess {
  readonly endpoint: string;
  readonly access: string;
  readonly secret: string;
  /** Ends what serves S3, as a crash would. */
  kill(): Promise<void>;
  /** Starts that again, at the same port and with what was stored. */
  start(): Promise<void>;
  /** Ends all of it. */
  stop(): Promise<void>;
}

/** The engine that OBJECT_ENGINE names; s3rver without it. Throws for a name that is none. */
export function engineName(wanted = process.env.OBJECT_ENGINE ?? "s3rver"): EngineName {
  if (wanted === "s3rver" || wanted === "radosgw" || wanted === "swift") return wanted;
  throw new Error(`OBJECT_ENGINE is ${wanted}, and must be s3rver, radosgw or swift`);
}

/**
 * Starts an engine with its files in a folder. Rejects with the line of its script if Debian's packages are missing:
 * see test/engines.
 */
export function startEngine(name: EngineName, folder: string, bucket: string): Promise<EngineProcess> {
  const files = join(folder, `engine-${name}`);
  mkdirSync(files, { recursive: true });
  return name === "s3rver" ? startS3rver(files, bucket) : startScript(name, files);
}

/** The account that s3rver has. */
const S3RVER_KEY = "S3RVER";

async function startS3rver(files: string, bucket: string): Promise<EngineProcess> {
  const port = await freePort();
  const program = fileURLToPath(import.meta.resolve("s3rver/bin/s3rver.js"));
  const args = ["-d", files, "-a", "127.0.0.1", "-p", String(port), "-s", "--configure-bucket", bucket];
  const endpoint = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  let exited: Promise<unknown> = Promise.resolve();
  const kill = async () => {
    child?.kill("SIGKILL");
    await exited;
  };
  const start = async () => {
    removeUnwritten(files);
    const started = spawn(process.execPath, [program, ...args], { stdio: "ignore" });
    exited = new Promise((resolve) => started.once("exit", resolve));
    child = started;
    await until("s3rver listens", () =>
      fetch(endpoint).then(
        () => true,
        () => false,
      ),
    );
  };
  await start();
  return { endpoint, access: S3RVER_KEY, secret: S3RVER_KEY, kill, start, stop: kill };
}

/**
 * s3rver writes what it knows of an object in place. A kill in that moment leaves an empty file, of which it answers
 * every list with an error from then on. Without the file it knows as much as it needs.
 */
function removeUnwritten(files: string): void {
  for (const entry of readdirSync(files, { recursive: true, encoding: "utf8" })) {
    const path = join(files, entry);
    if (entry.endsWith("_S3rver_metadata.json") && statSync(path).size === 0) rmSync(path);
  }
}

/** Runs a script of test/engines. It ends all its processes when its standard input ends, so also with this process. */
async function startScript(name: EngineName, files: string): Promise<EngineProcess> {
  const script = fileURLToPath(new URL(`../engines/${name}.sh`, import.meta.url));
  const child = spawn(script, [files], { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const told = new Map<string, string>();
  async function readTo(end: string): Promise<void> {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${name} has ended: ${complaint.trim()}`);
      if (value === end) return;
      const [word = "", ...rest] = value.split(" ");
      told.set(word, rest.join(" "));
    }
  }
  await readTo("ready");
  const order = async (word: string) => {
    child.stdin.write(`${word}\n`);
    await readTo(word);
  };
  const get = (word: string) => told.get(word) ?? "";
  return {
    ...{ endpoint: get("endpoint"), access: get("access"), secret: get("secret") },
    kill: () => order("kill"),
    start: () => order("start"),
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
