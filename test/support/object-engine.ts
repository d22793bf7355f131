import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "minio";
import { freePort } from "./daemon.js";
import { until } from "./until.js";

const BUCKET = "backups";
/** The account that s3rver has. */
const KEY = "S3RVER";

/** A store for tests: s3rver, a process of its own. Its objects are looked at and spoilt past the daemon. */
export interface ObjectEngine {
  /** A profile of `backups` in the configuration. */
  readonly profile: Readonly<Record<string, unknown>>;
  /** The names of all objects, in order. */
  names(): Promise<readonly string[]>;
  read(name: string): Promise<Buffer>;
  write(name: string, content: Buffer): Promise<void>;
  remove(name: string): Promise<void>;
  /** Uploads in parts that have not ended. */
  openUploads(): Promise<number>;
  readonly client: Client;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Files of keys that only their owner may read. */
export function writeKeys(folder: string, access: string, secret: string) {
  const files = { accessKeyFile: join(folder, "access.key"), secretKeyFile: join(folder, "secret.key") };
  writeFileSync(files.accessKeyFile, `${access}\n`);
  writeFileSync(files.secretKeyFile, `${secret}\n`);
  for (const file of Object.values(files)) chmodSync(file, 0o600);
  return files;
}

/** Starts s3rver with its objects in a folder. */
export async function startObjectEngine(folder: string): Promise<ObjectEngine> {
  const port = await freePort();
  const objects = join(folder, "objects");
  mkdirSync(objects, { recursive: true });
  const program = fileURLToPath(import.meta.resolve("s3rver/bin/s3rver.js"));
  const args = ["-d", objects, "-a", "127.0.0.1", "-p", String(port), "-s", "--configure-bucket", BUCKET];
  const child = spawn(process.execPath, [program, ...args], { stdio: "ignore" });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const endpoint = `http://127.0.0.1:${port}`;
  await until("s3rver listens", () =>
    fetch(endpoint).then(
      () => true,
      () => false,
    ),
  );
  const client = new Client({
    ...{ endPoint: "127.0.0.1", port, useSSL: false, region: "us-east-1" },
    ...{ accessKey: KEY, secretKey: KEY },
    // Tests may block this process for so long that the server closes an idle connection.
    transportAgent: new Agent({ keepAlive: false }),
  });
  return {
    profile: { endpoint, bucket: BUCKET, prefix: "node-1", ...writeKeys(folder, KEY, KEY) },
    ...objectsOf(client),
    client,
    process: child,
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function objectsOf(
  client: Client,
): Pick<ObjectEngine, "names" | "read" | "write" | "remove" | "openUploads"> {
  return {
    names: async () => {
      const names: string[] = [];
      for await (const { name } of client.listObjectsV2(BUCKET, "", true)) names.push(String(name));
      return names.sort();
    },
    read: async (name) => {
      const chunks: Buffer[] = [];
      for await (const chunk of await client.getObject(BUCKET, name)) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    write: async (name, content) => void (await client.putObject(BUCKET, name, content, content.length)),
    remove: (name) => client.removeObject(BUCKET, name),
    openUploads: async () => {
      const { uploads } = await client.listIncompleteUploadsQuery(BUCKET, "", "", "", "");
      return uploads.length;
    },
  };
}
