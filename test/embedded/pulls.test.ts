import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { bulkConfig } from "../support/bulk-cases.js";
import { createTestCa, issueForHost } from "../support/certificates.js";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import {
  call20,
  migrationCases,
  morePullCases,
  type PullScene,
  pull,
  pullCases,
  sha256,
} from "../support/pull-cases.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
let scene: PullScene;
/** A test that is run again makes another. */
let guardedVolumes = 0;

async function deviceOf({ url }: DaemonProcess, id: string): Promise<string> {
  const { volumes } = await must<Volumes>(url, "GetVolume", { id });
  return volumes[0]?.device ?? "";
}

/** The data of a snapshot, by a clone of it. */
async function digest(daemon: DaemonProcess, snapshot: string): Promise<string> {
  const dest = "guests/looked-at";
  await must(daemon.url, "CloneSnapshot", { id: snapshot, dest });
  const data = await readFile(await deviceOf(daemon, dest));
  await must(daemon.url, "DeleteDataset", { id: dest });
  return sha256(data);
}

const startNode = (node: string, more: object) =>
  startDaemonProcess({
    ...bulkConfig(
      join(folder, node),
      { name: node, driver: "embedded", folder: join(folder, node, "pool") },
      {},
    ),
    ...more,
  });

beforeAll(async () => {
  const source = await startNode("one", {});
  const target = await startNode("two", {
    peers: { source: { url: source.url }, gone: { url: `http://127.0.0.1:${await freePort()}` } },
  });
  const write: PullScene["write"] = async (id, at, data) => {
    await using file = await open(await deviceOf(source, id), "r+");
    await file.write(data, 0, data.length, at);
  };
  scene = { source, target, write, digest };
});
afterAll(async () => {
  await scene.target.stop();
  await scene.source.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("a pull between two embedded pools", () => {
  pullCases(() => scene);
  morePullCases(() => scene);
  migrationCases(() => scene);

  test("the commands of a migration show what they would do, step by step", async () => {
    const { source, target } = scene;
    const id = "guests/shown/disk";
    await must(source.url, "CreateVolume", { id, size: 8 });
    const linesOf = (command: string) => {
      const words = `volume ${command} ${id} --peer source --source ${id} --dry-run -H --url ${target.url}`;
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...words.split(" ")], {
        encoding: "utf8",
      });
      expect([status, stderr]).toEqual([0, ""]);
      return stdout.trim().split("\n");
    };
    expect(linesOf("migrate")).toEqual([
      expect.stringMatching(/^snapshot, at source\t\w+\/guests\/shown\/disk@migrate-\w+\t-$/),
      expect.stringMatching(/^receive from source, all\t\w+\/guests\/shown\/disk\t[\d.]+ \w*B$/),
    ]);
    await must(target.url, "MigrateVolume", { id, peer: "source", source: id });
    expect(linesOf("finish-migration")).toEqual([
      expect.stringMatching(/^fence, at source\t\w+\/guests\/shown\/disk\t-$/),
      expect.stringMatching(/^snapshot, at source\t/),
      expect.stringMatching(/^receive from source, since\t\w+\/guests\/shown\/disk@migrate-\w+\t0 B$/),
      expect.stringMatching(/^destroy, here\t\w+\/guests\/shown\/disk@migrate-\w+\t/),
    ]);
  });

  test("nothing is received into a volume that is fenced", async () => {
    const { source, target, write } = scene;
    const id = "guests/fenced-copy/disk";
    await must(source.url, "CreateVolume", { id, size: 8 });
    await must(source.url, "CreateSnapshot", { id, dest: "s1" });
    await pull(target, id);
    await must(target.url, "FenceVolume", { id, dest: "last" });
    await write(id, 0, Buffer.alloc(4096, 1));
    await must(source.url, "CreateSnapshot", { id, dest: "s2" });
    for (const force of [false, true]) {
      const refused = await call20(target, "PullVolume", { id, peer: "source", source: id, force });
      expect(refused.error).toMatchObject({ data: { reason: "dataset.fenced" } });
    }
    const { snapshots } = await must<Snapshots>(target.url, "ListSnapshots", { id });
    expect(snapshots.map((each) => each.id.replace(/.*@/, "")).sort()).toEqual(["last", "s1"]);
  });

  test("a volume is pulled by a schedule, and what fails is told and repeated", async () => {
    const id = "guests/scheduled/disk";
    const { source, write } = scene;
    await must(source.url, "CreateVolume", { id, size: 8 });
    await must(source.url, "CreateSnapshot", { id, dest: "s1" });
    const peers = { source: { url: source.url } };
    const line = { peer: "source", schedule: "* * * * * *" };
    const third = await startNode("three", {
      peers,
      replication: [
        { ...line, volume: id, source: id },
        { ...line, volume: "guests/none", source: "guests/none" },
      ],
      audit: { file: join(folder, "three-audit.log") },
    });
    const look = async (name: string) => {
      const { replications } = await must<{ replications: readonly Record<string, unknown>[] }>(
        third.url,
        "ListReplications",
        {},
      );
      return replications.find((each) => each.id === `three/${name}`);
    };
    await until("the copy is there", async () => (await look(id))?.upToDateAt !== null);
    await write(id, 0, Buffer.alloc(MIB, 7));
    await must(source.url, "CreateSnapshot", { id, dest: "s2" });
    await until("the increment came", async () => Number((await look(id))?.bytes) > MIB);
    expect(await look(id)).toMatchObject({ peer: "source", failures: 0, failure: null });
    expect(await digest(third, `${id}@s2`)).toBe(await digest(source, `${id}@s2`));
    await until("the other one failed", async () => Number((await look("guests/none"))?.failures) > 1);
    expect(await look("guests/none")).toMatchObject({
      failure: { code: "dataset.not_found" },
      upToDateAt: null,
    });
    expect(readFileSync(join(folder, "three-audit.log"), "utf8")).toContain('"caller":"replication"');
    expect(await third.stop()).toBe(0);
  });

  test("a peer with TLS and tokens is asked by its own CA and with a token, and refuses others", async () => {
    const ca = createTestCa();
    onTestFinished(ca.remove);
    const { cert, key } = issueForHost(ca);
    const tokens = join(folder, "tokens.json");
    const tokenOf = (role: string) => {
      const argv = [CLI, "token", "create", "--role", role, "--tokens", tokens];
      const file = join(folder, `${role}.token`);
      writeFileSync(file, execFileSync(process.execPath, argv), { mode: 0o600 });
      return file;
    };
    const [tokenFile, readerFile] = [tokenOf("operate"), tokenOf("read")];
    const guarded = await startNode("four", {
      listen: { port: 0, tls: { port: 0, cert, key } },
      auth: { tokens },
    });
    const headers = { authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}` };
    const id = `guests/guarded-${++guardedVolumes}/disk`;
    for (const [method, params] of [
      ["CreateVolume", { id, size: 8 }],
      ["CreateSnapshot", { id, dest: "s1" }],
    ] as const) {
      const body = JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 });
      const reply = await fetch(`${guarded.url}/rpc`, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body,
      });
      expect(await reply.json()).toHaveProperty("result");
    }
    const url = guarded.tlsUrl;
    const five = await startNode("five", {
      peers: {
        trusted: { url, caFile: ca.file, tokenFile },
        reader: { url, caFile: ca.file, tokenFile: readerFile },
        nobody: { url, caFile: ca.file },
        unknown: { url, tokenFile },
      },
    });
    const ask = async (peer: string) =>
      (await call20(five, "PullVolume", { id, peer, source: id })).error?.data.reason;
    expect(await ask("nobody")).toBe("peer.refused");
    expect(await ask("unknown")).toBe("peer.unreachable");
    // With a token of `read` the copy is made, and the log says that the source keeps no bookmark for it.
    expect(await ask("reader")).toBeUndefined();
    await expect.poll(() => five.log()).toContain("could not keep a bookmark");
    expect(await ask("trusted")).toBeUndefined();
    expect(five.log()).not.toContain(headers.authorization.slice(7));
    await five.stop();
    await guarded.stop();
  });

  test("a fence outlives the daemon", async () => {
    const id = "guests/fenced/disk";
    await must(scene.source.url, "CreateVolume", { id, size: 8 });
    await must(scene.source.url, "FenceVolume", { id, dest: "last" });
    process.kill(scene.source.pid, "SIGKILL");
    await scene.source.exited;
    scene = { ...scene, source: await startNode("one", {}) };
    const refused = await call20(scene.source, "DeleteDataset", { id });
    expect(refused.error).toMatchObject({ data: { reason: "dataset.fenced" } });
  });
});
