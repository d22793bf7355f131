import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { Client } from "minio";
import { type EngineName, type EngineProcess, engineName, startEngine } from "./engine-process.js";

const BUCKET = "backups";

/** A store for tests: the one that OBJECT_ENGINE names. Its objects are looked at and spoilt past the daemon. */
export interface ObjectEngine extends Pick<EngineProcess, "kill" | "start" | "stop" | "secret"> {
  readonly name: EngineName;
  /** A profile of `backups` in the configuration. */
  readonly profile: Readonly<Record<string, unknown>>;
  /** The names of all objects, in order. */
  names(): Promise<readonly string[]>;
  read(name: string): Promise<Buffer>;
  write(name: string, content: Buffer): Promise<void>;
  remove(name: string): Promise<void>;
  readonly client: Client;
}

/** Files of keys that only their owner may read. */
export function writeKeys(folder: string, access: string, secret: string) {
  const files = { accessKeyFile: join(folder, "access.key"), secretKeyFile: join(folder, "secret.key") };
  writeFileSync(files.accessKeyFile, `${access}\n`);
  writeFileSync(files.secretKeyFile, `${secret}\n`);
  for (const file of Object.values(files)) chmodSync(file, 0o600);
  return files;
}

/** Starts a store with its files in a folder, and makes its bucket. */
export async function startObjectEngine(folder: string, name = engineName()): Promise<ObjectEngine> {
  mkdirSync(folder, { recursive: true });
  const engine = await startEngine(name, folder, BUCKET);
  const { endpoint, access, secret, kill, start, stop } = engine;
  const { hostname, port } = new URL(endpoint);
  const client = new Client({
    ...{ endPoint: hostname, port: Number(port), useSSL: false, region: "us-east-1" },
    ...{ accessKey: access, secretKey: secret },
    // Tests may block this process for so long that the server closes an idle connection.
    transportAgent: new Agent({ keepAlive: false }),
  });
  if (!(await client.bucketExists(BUCKET))) await client.makeBucket(BUCKET);
  return {
    name,
    profile: { endpoint, bucket: BUCKET, prefix: "node-1", ...writeKeys(folder, access, secret) },
    ...objectsOf(client),
    ...{ client, secret, kill, start, stop },
  };
}

function objectsOf(client: Client): Pick<ObjectEngine, "names" | "read" | "write" | "remove"> {
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
  };
}
