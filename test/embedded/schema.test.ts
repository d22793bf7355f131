import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, HTTPTransport, RequestManager } from "@open-rpc/client-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { OpenRpcDocument } from "../../src/protocol/api/open-rpc.js";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { compileSchema } from "../support/definition-problems.js";
import { compiled } from "../support/in-process.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";

type Params = Readonly<Record<string, unknown>>;

/** A life of an image and of a guest, which calls every method once and more. */
const CALLS: readonly (readonly [string, Params])[] = [
  ["ListImages", {}],
  ["GetImage", { id: "golden" }],
  ["RequestImage", { id: "golden", type: "kvm" }],
  ["GetImage", { id: "golden" }],
  ["ListImages", { type: "kvm", limit: 1 }],
  ["CloneImage", { id: "golden", dest: "guests/a/disk-0" }],
  ["DeleteImage", { id: "golden", dryRun: true }],
  ["DeleteImage", { id: "golden" }],
  ["DeleteImage", { id: "golden", whenInUse: "burn" }],
  ["DeleteImage", { id: "golden", whenInUse: "trash" }],
  ["ListImages", { trash: true }],
  ["RestoreImage", { id: "golden" }],
  ["RestoreImage", { id: "golden" }],
  ["RestoreImage", { id: "golden/a" }],
  ["RestoreImage", {}],
  ["DeleteImage", { id: "golden", whenInUse: "trash" }],
  ["PruneImages", {}],
  ["SetGuestQuota", { id: "g", quota: 64 }],
  ["SetGuestQuota", { id: "g" }],
  ["GetGuestQuota", { id: "g" }],
  ["GetGuestQuota", { id: "a" }],
  ["GetGuestQuota", { id: "a/b" }],
  ["GetGuestQuota", {}],
  ["PruneImages", { unusedForSeconds: 100 }],
  ["PruneImages", { olderThanSeconds: 1, dryRun: true }],
  ["RequestImage", { id: "golden", type: "kvm" }],
  ["CopyVolume", { id: "images/golden", dest: "guests/copied" }],
  ["CopyVolume", { id: "images/golden", dest: "guests/copied" }],
  ["CopyVolume", { id: "guests", dest: "guests/none" }],
  ["DeleteDataset", { id: "guests/copied" }],
  ["ListVolumes", { limit: 100, after: "guests" }],
  ["CreateVolume", { id: "guests/b", size: 16 }],
  ["CreateVolume", { id: "guests/b", size: 17 }],
  ["CreateVolume", { id: "guests/c", size: 2 ** 40 }],
  ["GetVolume", { id: "guests/b" }],
  ["GetVolume", { id: "guests" }],
  ["CreateSnapshot", { id: "guests/b", dest: "s1" }],
  ["CreateSnapshot", { id: "guests", dest: "s2", recursive: true }],
  ["CreateSnapshot", { id: "guests/b", dest: "s1" }],
  ["ListSnapshots", { id: "guests", limit: 3 }],
  ["GetSnapshot", { id: "guests/b@s1" }],
  ["GetSnapshot", { id: "guests/b" }],
  ["RollbackSnapshot", { id: "guests/b@s1" }],
  ["RollbackSnapshot", { id: "guests/b@s1", destroyMoreRecent: true, dryRun: true }],
  ["RollbackSnapshot", { id: "guests/b@s1", destroyMoreRecent: true }],
  ["DeleteSnapshot", { id: "guests/b@s1", dryRun: true }],
  ["DeleteSnapshot", { id: "guests/b@s1" }],
  ["DeleteSnapshot", { id: "guests/b@none" }],
  ["CreateVolume", { id: "guests/t", size: 8, volblocksize: 8192, provisioning: "thin", tags: { a: "b" } }],
  ["CreateVolume", { id: "guests/t", size: 8, provisioning: "thick" }],
  ["CreateVolume", { id: "guests/t", size: 8, volblocksize: 5000 }],
  ["ListVolumes", { tag: "a=b" }],
  ["ListVolumes", { tag: "A" }],
  ["SetVolume", { id: "guests/t", tags: { a: "" }, readonly: true }],
  ["SetVolume", { id: "guests/t", sync: "always" }],
  ["SetVolume", { id: "guests/t" }],
  ["GetVolumeProperties", { id: "guests/t" }],
  ["GetVolumeProperties", { id: "guests" }],
  ["DeleteDataset", { id: "guests/t", dryRun: true }],
  ["DeleteDataset", { id: "guests/t" }],
  ["ResizeVolume", { id: "guests/b", size: 24 }],
  ["ResizeVolume", { id: "guests/b", size: 16 }],
  ["ResizeVolume", { id: "guests/b", size: 2 ** 40 }],
  ["ResizeVolume", { id: "images/golden", size: 24, allowDataLoss: true }],
  ["CreateSnapshot", { id: "guests/b", dest: "s3" }],
  ["CloneSnapshot", { id: "guests/b@s3", dest: "guests/e" }],
  ["CloneSnapshot", { id: "guests/b@s3", dest: "guests/b" }],
  ["CloneSnapshot", { id: "images/golden@s", dest: "guests/f" }],
  ["RenameVolume", { id: "guests/b", dest: "guests/d/b" }],
  ["RenameVolume", { id: "guests/b", dest: "guests/d/b" }],
  ["RenameVolume", { id: "guests/e", dest: "guests/d/b" }],
  ["PromoteVolume", { id: "guests/a/disk-0" }],
  ["PromoteVolume", { id: "guests/e" }],
  ["PromoteVolume", { id: "guests/e" }],
  ["PromoteVolume", { id: "guests/d/b" }],
  ["DeleteDataset", { id: "guests/e" }],
  ["RenameVolume", { id: "guests/d/b", dest: "guests/b" }],
  ["DeleteDataset", { id: "guests/b" }],
  ["DeleteDataset", { id: "guests" }],
  ["CreateVolume", { id: "guests/m", size: 8 }],
  ["CreateSnapshot", { id: "guests/m", dest: "s" }],
  ["CreateSnapshot", { id: "guests/m", dest: "t" }],
  ["CreateBookmark", { id: "guests/m@s", dest: "b" }],
  ["CreateBookmark", { id: "guests/m@t", dest: "b" }],
  ["CreateBookmark", { id: "guests/m@t", dest: "b c" }],
  ["CreateBookmark", { id: "guests/m", dest: "b" }],
  ["ListBookmarks", {}],
  ["ListBookmarks", { id: "guests/m@s" }],
  ["ListBookmarks", { id: "guests/none" }],
  ["BackupSnapshot", { id: "guests/m@s", profile: "store" }],
  ["BackupSnapshot", { id: "guests/m@t", profile: "store" }],
  ["BackupSnapshot", { id: "guests/m@none", profile: "store" }],
  ["BackupSnapshot", { id: "guests/m@s", profile: "none" }],
  ["BackupSnapshot", { id: "guests/m@s", profile: "gone" }],
  ["ListBackups", { profile: "store", id: "guests/m", limit: 5 }],
  ["ListBackups", {}],
  ["VerifyBackup", { profile: "store" }],
  ["VerifyBackup", { profile: "store", id: "1", verify: "structure" }],
  ["VerifyBackup", { profile: "store", verify: "none" }],
  ["RestoreBackup", { profile: "store", id: "1", dest: "guests/n" }],
  ["RestoreBackup", { profile: "store", id: "1", dest: "guests/m" }],
  ["PruneBackups", { profile: "store", keepLast: 1, keepDays: 1, dryRun: true }],
  ["PruneBackups", { profile: "store" }],
  ["DeleteBookmark", { id: "guests/m@s" }],
  ["DeleteBookmark", { id: "guests/m#b" }],
  ["DeleteBookmark", { id: "guests/m#b" }],
  ["ListReplications", {}],
  ["GetSendPlan", { id: "guests/m" }],
  ["GetSendPlan", { id: "guests/m@s", have: ["1"] }],
  ["GetSendPlan", { id: "guests/m@s", have: ["one"] }],
  ["GetSendPlan", { id: "guests/none" }],
  ["GetSendPlan", { id: "guests/m", next: true }],
  ["GetSendPlan", { id: "guests/m@s", next: true }],
  ["PullVolume", { id: "guests/copy", peer: "itself", source: "guests/m" }],
  ["PullVolume", { id: "guests/copy", peer: "itself", source: "guests/none" }],
  ["PullVolume", { id: "guests/copy", peer: "none", source: "guests/m" }],
  ["PullVolume", { id: "guests/copy", peer: "itself" }],
  ["MigrateVolume", { id: "guests/moved", peer: "itself", source: "guests/m", dryRun: true }],
  ["MigrateVolume", { id: "guests/moved", peer: "itself", source: "guests/m" }],
  ["MigrateVolume", { id: "guests/moved", peer: "itself", source: "guests/m@s" }],
  ["FinishMigration", { id: "guests/moved", peer: "itself", source: "guests/m", dryRun: true }],
  ["FinishMigration", { id: "guests/moved", peer: "itself", source: "guests/m" }],
  ["FinishMigration", { id: "guests/moved", peer: "itself", source: "guests/m", dryRun: true }],
  ["FenceVolume", { id: "guests/m", dest: "last" }],
  ["FenceVolume", { id: "guests", dest: "last" }],
  ["CreateSnapshot", { id: "guests/m", dest: "late" }],
  ["UnfenceVolume", { id: "guests/m" }],
  ["UnfenceVolume", { id: "guests/none" }],
  ["AbandonReceive", { id: "guests/moved" }],
  ["DeleteDataset", { id: "guests/moved" }],
  ["DeleteDataset", { id: "guests/copy" }],
  ["DeleteDataset", { id: "guests/m" }],
  ["VerifyDisks", { guest: { id: "g", disks: [{ image: "golden" }, { size: 8 }] } }],
  ["VerifyDisks", { guest: { id: "g", disks: [{ image: "none" }] } }],
  [
    "CreateGuestDisks",
    {
      guest: {
        id: "g",
        type: "kvm",
        nics: [{ name: "eth0", network: "lan", vlans: [1, 2] }, { mac: "00:00:5e:00:53:01" }],
        disks: [{ image: "golden" }, { size: 8, bus: "virtio" }],
        memory: 2 ** 33,
        cpu: 4,
        vnc: -1,
        metadata: { owner: "ada" },
      },
    },
  ],
  ["CreateGuestDisks", { guest: { id: "h", disks: [{ size: 2 ** 40 }] } }],
  ["SnapshotGuest", { id: "g", dest: "all" }],
  ["SnapshotGuest", { id: "g", dest: "all" }],
  ["SnapshotGuest", { id: "nobody", dest: "all" }],
  ["DeleteGuestsDisks", { guest: { id: "g" } }],
  ["DeleteGuestsDisks", { guest: { id: "g", disks: [{ image: "golden" }] }, pool: "none" }],
  ["DeleteDataset", { id: "guests/a" }],
  ["DeleteImage", { id: "golden" }],
  ["RequestImage", { id: "absent" }],
  ["RequestImage", { id: "layered", origin: "absent" }],
  ["RequestImage", { id: "layered", origin: "layered" }],
  ["RequestImage", { id: "golden", source: "http://example.invalid/x" }],
  ["GetPool", {}],
  ["GetPool", { id: "tank" }],
  ["GetPool", { id: "tank", pool: "dozer" }],
  ["ListJobs", {}],
  ["ListJobs", { state: "failed", method: "RequestImage", pool: "tank", limit: 1 }],
  ["GetJob", { id: "none" }],
  ["ListAudit", {}],
  ["ListAudit", { method: "DeleteImage", outcome: "failed", dataset: "golden", pool: "tank", limit: 2 }],
  ["ListAudit", { since: "yesterday" }],
];

type ClientModule = typeof import("../../src/client/client.js");

interface TestClient {
  /** Rejects with an error that has the reason of the failure. */
  call(method: string, params: Params): Promise<unknown>;
  /** The methods that it has a function for; undefined: it calls any. */
  readonly functions?: readonly string[];
  close(): void;
}

const functionOf = (method: string) => `${method.charAt(0).toLowerCase()}${method.slice(1)}`;

/** Clients that others wrote, and that are made from the document. */
const CLIENTS: Readonly<Record<string, (url: string) => Promise<TestClient>>> = {
  "@open-rpc/client-js": async (url) => {
    const client = new Client(new RequestManager([new HTTPTransport(`${url}/rpc`)]));
    const call = (method: string, params: Params) =>
      client.request({ method, params }).catch((error: unknown) => {
        throw Object.assign(new Error("refused", { cause: error }), { reason: Object(error).data?.reason });
      });
    return { call, close: () => client.close() };
  },
  "imagestore/client": async (url) => {
    const { connect } = await compiled<ClientModule>("client/client.js");
    const client = connect({ url, retries: 0 });
    const functions = Object.entries(client).flatMap(([name, value]) =>
      typeof value === "function" && !["call", "batch", "download", "events"].includes(name) ? [name] : [],
    );
    const call = async (method: string, params: Params) =>
      Reflect.apply(Reflect.get(client, functionOf(method)), client, [params]);
    return { call, functions, close: () => {} };
  },
};

describe.each(Object.keys(CLIENTS))("the schema that imagestore prints, by %s", (clientName) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const document: OpenRpcDocument = JSON.parse(
    execFileSync(process.execPath, [CLI, "schema"], { encoding: "utf8" }),
  );
  let daemon: DaemonProcess;
  let images: ImageService;
  let engine: ObjectEngine;
  let client: TestClient | undefined;

  const methodOf = (name: string) => {
    const found = document.methods.find((method) => method.name === name);
    if (!found) throw new Error(`no method ${name}`);
    return found;
  };
  /** The result of a call, or the reason of its failure. */
  async function call(method: string, params: Params): Promise<{ result: unknown } | { reason: string }> {
    try {
      return { result: await client?.call(method, params) };
    } catch (error) {
      const { reason } = Object(error);
      if (typeof reason !== "string") throw error;
      return { reason };
    }
  }
  /** What a method may fail with, by its row in the document. */
  const reasonsOf = (method: string) =>
    methodOf(method).errors.map(({ $ref }) => $ref.slice("#/components/errors/".length));

  beforeAll(async () => {
    const pool = (name: string) => ({
      ...{ name, driver: "embedded", folder: join(folder, name), quotaBytes: 2 ** 33 },
    });
    const port = await freePort();
    images = await openImageService(port);
    const own = await freePort();
    engine = await startObjectEngine(folder);
    daemon = await startDaemonProcess({
      listen: { port: own },
      peers: { itself: { url: `http://127.0.0.1:${own}` } },
      pools: [pool("tank"), pool("dozer")],
      imageService: `127.0.0.1:${port}`,
      audit: { file: join(folder, "audit.log") },
      backups: {
        store: engine.profile,
        gone: { ...engine.profile, endpoint: "http://127.0.0.1:9", bucket: "backups" },
      },
      log: { level: "fatal" },
    });
    client = await CLIENTS[clientName]?.(daemon.url);
    await call("CreateVolume", { id: "made", size: 16 });
    await call("CreateSnapshot", { id: "made", dest: "s" });
    const stream = await fetch(`${daemon.url}/snapshots/download?id=made@s`);
    images.serve("golden", bytes(Buffer.from(await stream.arrayBuffer())));
  });
  afterAll(async () => {
    client?.close();
    await engine?.stop();
    await daemon?.stop();
    await images?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("fits every answer of a daemon, each failure too, and every method is called", async () => {
    const answered = new Set<string>();
    const begun = await call("CreateVolume", { id: "later", size: 8, background: true });
    const { id } = Object("result" in begun ? begun.result : {}).jobs[0];
    const ofItsJob = ["WaitJob", "GetJob", "CancelJob"].map((name) => [name, { id }] as const);
    const stored = await call("BackupSnapshot", { id: "made@s", profile: "store" });
    const { guid } = Object("result" in stored ? stored.result : {}).backups[0];
    const ofItsBackup = [["RestoreBackup", { profile: "store", id: guid, dest: "restored" }]] as const;
    for (const [name, params] of [...CALLS, ...ofItsJob, ...ofItsBackup]) {
      const what = `${name} ${JSON.stringify(params)}`;
      const answer = await call(name, params);
      if ("reason" in answer) {
        expect(reasonsOf(name), what).toContain(answer.reason);
        continue;
      }
      answered.add(name);
      const fits = compileSchema(methodOf(name).result.schema);
      expect([fits(answer.result), fits.errors], `${what}: ${JSON.stringify(answer.result)}`).toEqual([
        true,
        null,
      ]);
    }
    expect([...answered].sort()).toEqual(document.methods.map(({ name }) => name).sort());
    if (client?.functions) expect(client.functions.toSorted()).toEqual([...answered].map(functionOf).sort());
  });

  test("is what rpc.discover answers, once and to many at once", async () => {
    const other = await CLIENTS["@open-rpc/client-js"]?.(daemon.url);
    const answers = await Promise.all(Array.from({ length: 50 }, () => other?.call("rpc.discover", {})));
    for (const answer of answers) expect(answer).toEqual(document);
    other?.close();
  });

  test("names what a method can't do without, and what it can", async () => {
    for (const { name, params, examples } of document.methods) {
      const [example = { params: [] }] = examples as { params: { name: string; value: unknown }[] }[];
      const whole = Object.fromEntries(example.params.map((param) => [param.name, param.value]));
      for (const { name: param, required } of params) {
        if (!required) continue;
        const { [param]: _, ...rest } = whole;
        const answer = await call(name, rest);
        expect(answer, `${name} without ${param}`).toHaveProperty("reason");
        if ("reason" in answer) expect(reasonsOf(name)).toContain(answer.reason);
      }
    }
  });
});
