import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CLI, type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { askReceive, receiveUrl, sendAll, sendTo } from "../support/stream-client.js";
import { secretOf, writeTokens } from "../support/token-file.js";
import { transportNames } from "../support/transports.js";
import { isAlive, until } from "../support/until.js";

const MIB = 1024 * 1024;
const DISK_MIB = 48;
const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");
const run = promisify(execFile);

/** More than what sockets, the ring and a pipe hold together, and less than the stream. */
const HELD_LIMIT_BYTES = 24 * MIB;
/** What the daemon may grow by while a receiver stands still. */
const RSS_LIMIT_BYTES = 32 * MIB;

describe.each(transportNames)("streams that clients send, by %s", (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const poolFolder = join(folder, "pool");
  const config = {
    listen: { port: 0, transport },
    pools: [{ name: "tank", driver: "embedded", folder: poolFolder }],
    dataDir: join(folder, "records"),
    audit: { file: join(folder, "audit.log") },
    log: { level: "error" },
  };
  let daemon: DaemonProcess;
  /** Of `seed@s1` and what `seed@s2` has more, and the data of both. */
  let [full, increment] = [Buffer.alloc(0), Buffer.alloc(0)];
  const digests: Record<string, string> = {};

  const deviceOf = async (id: string) => {
    const { volumes } = await must<Volumes>(daemon.url, "GetVolume", { id });
    return volumes[0]?.device ?? "";
  };
  const digestOf = async (id: string) => sha256(await readFile(await deviceOf(id)));
  const tagsOf = async (id: string) => {
    const { snapshots } = await must<Snapshots>(daemon.url, "ListSnapshots", { id });
    return snapshots.map((each) => each.id.slice(each.id.indexOf("@") + 1)).sort();
  };
  const volumes = async () =>
    (await must<Volumes>(daemon.url, "ListVolumes", {})).volumes.map(({ id }) => id.slice(5)).sort();
  const download = async (query: string) =>
    Buffer.from(await (await fetch(`${daemon.url}/snapshots/download?id=${query}`)).arrayBuffer());
  const receivers = () => descendantsOf(daemon.pid, "embedded/receive-process.js");
  const incoming = () => readdirSync(join(poolFolder, "incoming"));
  const send = (id: string, body: Buffer, more = "") => sendAll(receiveUrl(daemon, id, more), body);

  /** Nothing is there of a volume, nor of a stream of one. */
  async function expectNothingOf(id: string): Promise<void> {
    await until("nothing is received", () => receivers().length === 0 && incoming().length === 0);
    expect(await volumes()).not.toContain(id);
    const { status, json } = await askReceive(receiveUrl(daemon, id));
    expect(status).toBe(200);
    expect(json.receives).toEqual([
      { id: `tank/${id}`, state: "none", token: null, bytes: null, resumable: false },
    ]);
  }

  beforeAll(async () => {
    daemon = await startDaemonProcess(config);
    await must(daemon.url, "CreateVolume", { id: "seed", size: DISK_MIB });
    const data = randomBytes(DISK_MIB * MIB);
    await using file = await open(await deviceOf("seed"), "r+");
    for (const tag of ["s1", "s2"]) {
      if (tag === "s2") randomBytes(MIB).copy(data, 7 * MIB);
      await file.write(data, 0, data.length, 0);
      await must(daemon.url, "CreateSnapshot", { id: "seed", dest: tag });
      digests[tag] = sha256(data);
    }
    full = await download("seed@s1");
    increment = await download("seed@s2&from=@s1");
  });
  afterAll(async () => {
    expect(await daemon.stop()).toBe(0);
    rmSync(folder, { recursive: true, force: true });
  });

  test("the command sends a file or a pipe, tells what it has destroyed, and ends by what has failed", async () => {
    const [first, second] = [join(folder, "full.zfs"), join(folder, "increment.zfs")];
    writeFileSync(first, full);
    writeFileSync(second, increment);
    const command = (words: string, input = "/dev/null") => {
      const argv = ["-c", `"$0" "$1" volume receive ${words} --url ${daemon.url} <"$2"`];
      return run("sh", [...argv, process.execPath, CLI, input]).catch(
        ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr, stdout: "" }),
      );
    };
    expect((await command(`typed/disk ${first} -H`)).stdout).toMatch(/^tank\/typed\/disk\t48.0 MiB\t/);
    expect(JSON.parse((await command("typed/disk --json", second)).stdout)).toMatchObject({
      received: { full: false, bytes: increment.length },
    });
    expect(await digestOf("typed/disk")).toBe(digests.s2);
    const again = await command(`typed/disk ${first}`);
    expect(again).toMatchObject({ code: 5, stderr: expect.stringContaining("force") });
    const forced = await command(`typed/disk ${first} --force`);
    expect(forced.stderr).toContain("destroyed: tank/typed/disk@s2\n");
    expect(await digestOf("typed/disk")).toBe(digests.s1);
    expect(await command("typed/other", CLI)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("no usable stream"),
    });
    expect(await command("typed/other /none")).toMatchObject({ code: 4 });
    expect(await command("typed/other --token")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("no stream into it has broken"),
    });
    await expectNothingOf("typed/other");
  });

  test("curl sends a full stream from a pipe and an increment from a file, and they become a volume", async () => {
    const [first, second] = [join(folder, "full.zfs"), join(folder, "increment.zfs")];
    writeFileSync(first, full);
    writeFileSync(second, increment);
    const url = receiveUrl(daemon, "curled/disk");
    const numbers = async (): Promise<number[]> => {
      const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
      expect(metrics).toContain("imagestore_client_streams 0\n");
      return [
        /imagestore_calls_total\{[^}]*method="ReceiveVolume"[^}]*\} (\d+)/,
        /_stream_bytes_total (\d+)/,
      ].map((line) => Number(line.exec(metrics)?.[1] ?? 0));
    };
    const [calls = 0, bytes = 0] = await numbers();
    const piped = await run("sh", ["-c", `cat ${first} | curl -sSf -X POST -T - '${url}'`]);
    expect(JSON.parse(piped.stdout)).toMatchObject({
      volumes: [{ id: "tank/curled/disk", size: DISK_MIB }],
      received: { snapshot: "tank/curled/disk@s1", bytes: full.length, full: true, destroyed: [] },
    });
    expect(await digestOf("curled/disk")).toBe(digests.s1);
    const uploaded = await run("curl", ["-sSf", "--data-binary", `@${second}`, url]);
    expect(JSON.parse(uploaded.stdout).received).toMatchObject({ bytes: increment.length, full: false });
    expect(await digestOf("curled/disk")).toBe(digests.s2);
    expect(await tagsOf("curled/disk")).toEqual(["s1", "s2"]);
    const lines = readFileSync(join(folder, "audit.log"), "utf8").trim().split("\n");
    const audited = lines
      .map((line) => JSON.parse(line))
      .filter(({ method, datasets }) => method === "ReceiveVolume" && datasets[0] === "tank/curled/disk");
    expect(audited).toMatchObject([1, 2].map(() => ({ code: "ok", peer: "127.0.0.1" })));
    expect(await numbers()).toEqual([calls + 2, bytes + full.length + increment.length]);
  });

  test("an increment goes onto its base alone, and by force what is newer goes, which is told", async () => {
    await send("grown", full);
    for (const connection of ["close", "keep-alive"]) {
      const again = await sendAll(receiveUrl(daemon, "grown"), full, { connection });
      expect(again).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.exists" } } } });
    }
    const none = await send("nowhere", increment);
    expect(none).toMatchObject({ status: 404, json: { error: { data: { reason: "dataset.not_found" } } } });
    await must(daemon.url, "CreateVolume", { id: "other", size: DISK_MIB });
    await must(daemon.url, "CreateSnapshot", { id: "other", dest: "s1" });
    for (const more of ["", "&force=true"]) {
      const foreign = await send("other", increment, more);
      expect(foreign).toMatchObject({
        status: 409,
        json: { error: { message: expect.stringContaining("has no snapshot with the guid") } },
      });
    }
    await must(daemon.url, "CreateSnapshot", { id: "grown", dest: "own" });
    const newer = await send("grown", increment);
    expect(newer).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.diverged" } } } });
    expect(newer.json.error?.message).toContain("has newer snapshots than tank/grown@s1");
    await must(daemon.url, "DeleteSnapshot", { id: "grown@own" });
    await must(daemon.url, "SetVolume", { id: "grown", readonly: false });
    const writable = await send("grown", increment);
    expect(writable.json.error?.message).toContain("is writable");
    await must(daemon.url, "CreateSnapshot", { id: "grown", dest: "own" });
    expect(await tagsOf("grown")).toEqual(["own", "s1"]);

    const forced = await send("grown", increment, "&force=1");
    expect(forced.status).toBe(200);
    expect(forced.json.received).toMatchObject({ snapshot: "tank/grown@s2", full: false });
    expect(forced.json.received?.destroyed).toEqual([
      "tank/grown@own",
      "what was written since tank/grown@s1",
    ]);
    expect(await tagsOf("grown")).toEqual(["s1", "s2"]);
    expect(await digestOf("grown")).toBe(digests.s2);
    const had = await send("grown", increment, "&force=1");
    expect(had).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.exists" } } } });
  });

  test("a full stream replaces a volume by force once it is whole, and what is cloned from stays", async () => {
    await must(daemon.url, "CreateVolume", { id: "replaced", size: 1 });
    await must(daemon.url, "CreateSnapshot", { id: "replaced", dest: "old" });
    await must(daemon.url, "CloneSnapshot", { id: "replaced@old", dest: "clone-of-it" });
    const cloned = await send("replaced", full, "&force=true");
    expect(cloned).toMatchObject({
      status: 409,
      json: { error: { data: { reason: "dataset.has_clones" } } },
    });
    await must(daemon.url, "DeleteDataset", { id: "clone-of-it" });
    const cut = await send("replaced", full.subarray(0, full.length / 2), "&force=true");
    expect(cut).toMatchObject({ status: 400, json: { error: { data: { reason: "stream.cut_short" } } } });
    expect(await tagsOf("replaced")).toEqual(["old"]);
    const { status, json } = await send("replaced", full, "&force=true");
    expect(status).toBe(200);
    expect(json.received?.destroyed.toSorted()).toEqual(["tank/replaced", "tank/replaced@old"]);
    expect(await tagsOf("replaced")).toEqual(["s1"]);
    expect(await digestOf("replaced")).toBe(digests.s1);
    expect(incoming()).toEqual([]);
  });

  test("of a stream that is cut nothing stays, however it is cut, and DELETE has nothing to give up", async () => {
    const half = full.subarray(0, full.length / 2);
    const short = await send("cut", half);
    expect(short).toMatchObject({ status: 400, json: { error: { data: { reason: "stream.cut_short" } } } });
    await expectNothingOf("cut");
    for (const headers of [{}, { "content-length": full.length }]) {
      const { request } = sendTo(receiveUrl(daemon, "cut"), headers);
      request.write(half);
      await until("it is being received", () => receivers().length === 1);
      const { json } = await askReceive(receiveUrl(daemon, "cut"));
      expect(json.receives).toMatchObject([{ state: "receiving", bytes: expect.any(Number) }]);
      request.destroy();
      await expectNothingOf("cut");
    }
    const before = await digestOf("curled/disk");
    await must(daemon.url, "DeleteSnapshot", { id: "curled/disk@s2" });
    await must(daemon.url, "RollbackSnapshot", { id: "curled/disk@s1" });
    const part = await send("curled/disk", increment.subarray(0, increment.length - 400));
    expect(part).toMatchObject({ status: 400, json: { error: { data: { reason: "stream.cut_short" } } } });
    expect(incoming()).toEqual([]);
    expect(await tagsOf("curled/disk")).toEqual(["s1"]);
    expect(await digestOf("curled/disk")).not.toBe(before);
    const given = await askReceive(receiveUrl(daemon, "cut"), "DELETE");
    expect(given.status).toBe(200);
    expect((await send("cut", full)).status).toBe(200);
    expect(await digestOf("cut")).toBe(digests.s1);
  });

  test("what is no stream of a volume's snapshot is refused at its beginning, and leaves nothing", async () => {
    const begins = (change: (head: Buffer) => void) => {
      const copy = Buffer.from(full.subarray(0, 2 * MIB));
      change(copy);
      return copy;
    };
    // drr_type of the object set, and drr_versioninfo.
    const bodies: readonly (readonly [Buffer, RegExp])[] = [
      [Buffer.alloc(0), /the body is empty/],
      [Buffer.from("hello"), /does not begin as one/],
      [randomBytes(8 * MIB), /does not begin as one/],
      [full.subarray(0, 100), /cut short/],
      [begins((head) => void head.writeUInt32LE(2, 32)), /filesystem/],
      [begins((head) => void head.writeUInt8(2, 16)), /package/],
      [Buffer.concat([full, randomBytes(MIB)]), /data follows|stream/],
    ];
    for (const [body, words] of bodies) {
      const { status, json } = await send("wrong", body);
      expect(status).toBe(400);
      expect(json.error?.message).toMatch(words);
      await expectNothingOf("wrong");
    }
    const asked = (query: string, method = "POST") =>
      fetch(`${daemon.url}/volumes/receive${query}`, { method });
    expect((await asked("?id=wrong", "PUT")).status).toBe(405);
    expect((await asked("")).status).toBe(400);
    expect((await asked("?id=wrong&force=perhaps")).status).toBe(400);
    expect((await asked("?id=images/wrong")).status).toBe(403);
    expect((await asked("?id=seed@s1")).status).toBe(400);
    const page = await sendAll(receiveUrl(daemon, "wrong"), full, { origin: "https://elsewhere.example" });
    expect(page.status).toBe(403);
    await expectNothingOf("wrong");
  });

  test("nothing else is received into a volume meanwhile, and the job tells how far it is and can be cancelled", async () => {
    const first = sendTo(receiveUrl(daemon, "twice"), { "content-length": full.length });
    first.request.write(full.subarray(0, 10 * MIB));
    await until("it is being received", () => receivers().length === 1);
    const second = await send("twice", full);
    expect(second).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.busy" } } } });
    expect((await askReceive(receiveUrl(daemon, "twice"), "DELETE")).status).toBe(409);
    interface Job {
      readonly id: string;
      readonly method: string;
      readonly bytes: number | null;
    }
    const job = async () => {
      const { jobs } = await must<{ jobs: readonly Job[] }>(daemon.url, "ListJobs", { state: "running" });
      return jobs.find(({ method }) => method === "ReceiveVolume");
    };
    await until("10 MiB have come", async () => ((await job())?.bytes ?? 0) >= 10 * MIB);
    expect(await job()).toMatchObject({
      dataset: "tank/twice",
      phase: "receiving",
      totalBytes: full.length,
    });
    await must(daemon.url, "CancelJob", { id: (await job())?.id });
    expect(await first.reply).toMatchObject({
      status: 409,
      json: { error: { data: { reason: "job.cancelled" } } },
    });
    first.request.destroy();
    await expectNothingOf("twice");
  });

  test("a receiver that stands still holds its client, memory does not grow, and a client that pauses is waited for", async () => {
    const { request, reply } = sendTo(receiveUrl(daemon, "held"));
    request.write(full.subarray(0, MIB));
    await until("it is being received", () => receivers().length === 1);
    const [receiver = 0] = receivers();
    const rss = () =>
      1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]);
    process.kill(receiver, "SIGSTOP");
    onTestFinished(() => {
      if (isAlive(receiver)) process.kill(receiver, "SIGCONT");
    });
    const slow = sendTo(receiveUrl(daemon, "slow"));
    slow.request.write(full.subarray(0, 200));
    const before = rss();
    let sent = MIB;
    let isOver = false;
    const writing = (async () => {
      while (sent < full.length) {
        const piece = full.subarray(sent, sent + 256 * 1024);
        sent += piece.length;
        if (!request.write(piece)) await new Promise((resolve) => request.once("drain", resolve));
      }
      isOver = true;
      request.end();
    })();
    // Longer than an idle connection is kept.
    await sleep(13_000);
    expect(isOver).toBe(false);
    expect(sent).toBeLessThan(HELD_LIMIT_BYTES);
    expect(rss() - before).toBeLessThan(RSS_LIMIT_BYTES);
    process.kill(receiver, "SIGCONT");
    await writing;
    expect((await reply).status).toBe(200);
    expect(await digestOf("held")).toBe(digests.s1);
    slow.request.end(full.subarray(200));
    expect((await slow.reply).status).toBe(200);
    expect(await digestOf("slow")).toBe(digests.s1);
  });

  test("nothing is received into a volume that is fenced", async () => {
    await send("fenced", full);
    await must(daemon.url, "FenceVolume", { id: "fenced", dest: "last" });
    for (const [body, more] of [
      [increment, ""],
      [increment, "&force=1"],
      [full, "&force=1"],
    ] as const) {
      const refused = await send("fenced", body, more);
      expect(refused).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.fenced" } } } });
    }
    expect(await tagsOf("fenced")).toEqual(["last", "s1"]);
  });

  test("a daemon that is killed in the middle leaves nothing, also of what was to replace a volume", async () => {
    await must(daemon.url, "CreateVolume", { id: "kept", size: 1 });
    const half = full.subarray(0, full.length / 2);
    for (const [id, more] of [
      ["killed", ""],
      ["kept", "&force=1"],
    ] as const) {
      const { request } = sendTo(receiveUrl(daemon, id, more));
      request.write(half);
      await until("it is being received", () => receivers().length === 1);
      process.kill(daemon.pid, "SIGKILL");
      await daemon.exited;
      request.destroy();
      daemon = await startDaemonProcess(config);
    }
    await expectNothingOf("killed");
    expect(await volumes()).toContain("kept");
    expect((await send("killed", full)).status).toBe(200);
  });

  test("a client that falls silent, and one without the role, are told so", async () => {
    const tokens = join(folder, "tokens.json");
    writeTokens(tokens, {
      reader: { role: "read" },
      other: { role: "operate", names: ["team-b"] },
      mine: { role: "operate", names: ["team-a"] },
    });
    const guarded = await startDaemonProcess({
      ...config,
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "guarded") }],
      dataDir: join(folder, "guarded-records"),
      auth: { tokens },
      timeouts: { fetchIdleMs: 1_500 },
    });
    onTestFinished(async () => void (await guarded.stop()));
    const url = receiveUrl(guarded, "team-a/disk");
    const as = (id: string) => ({ authorization: `Bearer ${secretOf(id)}` });
    expect((await sendAll(url, full)).status).toBe(401);
    for (const id of ["reader", "other"]) {
      const refused = await sendAll(url, full, as(id));
      expect(refused).toMatchObject({ status: 403, json: { error: { data: { reason: "access.denied" } } } });
    }
    const silent = sendTo(url, as("mine"));
    silent.request.write(full.subarray(0, 5 * MIB));
    expect(await silent.reply).toMatchObject({
      status: 400,
      json: { error: { message: expect.stringContaining("no byte came for 1500 ms") } },
    });
    silent.request.destroy();
    expect((await sendAll(url, full, as("mine"))).status).toBe(200);
    const asked = async (id: string, method: "GET" | "DELETE") => {
      const { request, reply } = sendTo(url, as(id), method);
      request.end();
      return (await reply).status;
    };
    expect(await asked("reader", "GET")).toBe(200);
    expect(await asked("other", "GET")).toBe(403);
    expect(await asked("reader", "DELETE")).toBe(403);
    expect(await asked("mine", "DELETE")).toBe(200);
  });
});
