import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
      { id: `tank/${id}`, state: "none", token: null, bytes: null, resumable: true },
    ]);
  }

  /** The token of a stream into a volume that broke. */
  async function tokenOf(id: string): Promise<string> {
    await until("no process receives it", () => receivers().length === 0);
    const { json } = await askReceive(receiveUrl(daemon, id));
    expect(json.receives).toMatchObject([{ id: `tank/${id}`, state: "broken", resumable: true }]);
    const [receive] = json.receives ?? [];
    expect(receive?.token).toMatch(/^e1-/);
    return receive?.token ?? "";
  }

  /** What has come of a stream that broke. */
  const bytesOf = async (id: string) =>
    (await askReceive(receiveUrl(daemon, id))).json.receives?.[0]?.bytes ?? 0;

  /** Gives up what has come, after which there is nothing. */
  async function giveUp(id: string): Promise<void> {
    await tokenOf(id);
    expect((await askReceive(receiveUrl(daemon, id), "DELETE")).status).toBe(200);
    await expectNothingOf(id);
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
    const rest = await download(`seed@s1&resume=${await tokenOf("replaced")}`);
    expect(rest.length).toBeLessThan(0.6 * full.length);
    const unforced = await send("replaced", rest);
    expect(unforced).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.exists" } } } });
    const { status, json } = await send("replaced", rest, "&force=true");
    expect(status).toBe(200);
    expect(json.received?.destroyed.toSorted()).toEqual(["tank/replaced", "tank/replaced@old"]);
    expect(await tagsOf("replaced")).toEqual(["s1"]);
    expect(await digestOf("replaced")).toBe(digests.s1);
    expect(incoming()).toEqual([]);
  });

  test("of a stream that is cut what has come stays, however it is cut: its rest completes it, or DELETE gives it up", async () => {
    const half = full.subarray(0, full.length / 2);
    const short = await send("cut", half);
    expect(short).toMatchObject({ status: 400, json: { error: { data: { reason: "stream.cut_short" } } } });
    await giveUp("cut");
    for (const headers of [{}, { "content-length": full.length }]) {
      const { request } = sendTo(receiveUrl(daemon, "cut"), headers);
      request.write(half);
      await until("it is being received", () => receivers().length === 1);
      const { json } = await askReceive(receiveUrl(daemon, "cut"));
      expect(json.receives).toMatchObject([{ state: "receiving", bytes: expect.any(Number) }]);
      await until("all of it has come", async () => {
        const { json: now } = await askReceive(receiveUrl(daemon, "cut"));
        return (now.receives?.[0]?.bytes ?? 0) >= half.length;
      });
      request.destroy();
      await until("it is broken", async () => {
        const { json: now } = await askReceive(receiveUrl(daemon, "cut"));
        return now.receives?.[0]?.state === "broken";
      });
      // A block of which the header behind it has not come is not kept.
      expect(await bytesOf("cut")).toBeGreaterThan(half.length - MIB);
      if (headers["content-length" as never] === undefined) await giveUp("cut");
    }
    // Cut twice more, and then whole.
    let moved = half.length;
    for (const share of [0.3, 0.7, 1]) {
      const rest = await download(`seed@s1&resume=${await tokenOf("cut")}`);
      const part = rest.subarray(0, Math.floor(rest.length * share));
      moved += part.length;
      const sent = await send("cut", part);
      expect(sent.status).toBe(share === 1 ? 200 : 400);
    }
    expect(moved).toBeLessThan(1.1 * full.length);
    expect(await digestOf("cut")).toBe(digests.s1);
    expect(incoming()).toEqual([]);
    const given = await askReceive(receiveUrl(daemon, "cut"), "DELETE");
    expect(given.status).toBe(200);
    expect(await digestOf("cut")).toBe(digests.s1);
  });

  test("an increment that is cut changes nothing until its rest has come, and goes on only onto what it was made for", async () => {
    await send("onto", full);
    const part = increment.subarray(0, increment.length - 100_000);
    const cut = async () => {
      const { status, json } = await send("onto", part);
      expect({ status, reason: json.error?.data.reason }).toEqual({
        status: 400,
        reason: "stream.cut_short",
      });
      return tokenOf("onto");
    };
    const token = await cut();
    expect(await tagsOf("onto")).toEqual(["s1"]);
    expect(await digestOf("onto")).toBe(digests.s1);
    const again = await send("onto", increment);
    expect(again).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.exists" } } } });
    // It is of the volume, whatever its name.
    await must(daemon.url, "RenameVolume", { id: "onto", dest: "moved" });
    expect(await tokenOf("moved")).toBe(token);
    await must(daemon.url, "RenameVolume", { id: "moved", dest: "onto" });
    const rest = await download(`seed@s2&from=@s1&resume=${token}`);
    expect(rest.length).toBeLessThan(0.3 * increment.length);
    await must(daemon.url, "CreateSnapshot", { id: "onto", dest: "own" });
    const newer = await send("onto", rest);
    expect(newer).toMatchObject({ status: 409, json: { error: { data: { reason: "dataset.diverged" } } } });
    await must(daemon.url, "DeleteSnapshot", { id: "onto@own" });
    await must(daemon.url, "SetVolume", { id: "onto", readonly: false });
    const writable = await send("onto", rest);
    expect(writable.json.error?.message).toContain("was changed since the stream into it broke");
    // Nobody knows what was written meanwhile.
    await must(daemon.url, "SetVolume", { id: "onto", readonly: true });
    const changed = await send("onto", rest);
    expect(changed).toMatchObject({ status: 400, json: { error: { data: { reason: "stream.invalid" } } } });
    expect(changed.json.error?.message).toContain("was changed since the one before it broke");
    expect(await tokenOf("onto")).toBe(token);
    const forced = await send("onto", increment, "&force=1");
    expect(forced.json.received?.destroyed).toEqual(["tank/onto%recv"]);
    expect(await digestOf("onto")).toBe(digests.s2);

    await must(daemon.url, "DeleteSnapshot", { id: "onto@s2" });
    await must(daemon.url, "RollbackSnapshot", { id: "onto@s1" });
    const other = await download(`seed@s2&from=@s1&resume=${await cut()}`);
    expect((await send("onto", other)).json.received).toMatchObject({
      snapshot: "tank/onto@s2",
      full: false,
    });
    expect(await digestOf("onto")).toBe(digests.s2);
    expect(incoming()).toEqual([]);
    // What has come for a volume goes with it.
    await must(daemon.url, "DeleteSnapshot", { id: "onto@s2" });
    await must(daemon.url, "RollbackSnapshot", { id: "onto@s1" });
    await cut();
    await must(daemon.url, "DeleteDataset", { id: "onto" });
    expect(incoming()).toEqual([]);
  });

  test("only the rest of what has come is taken, from exactly there, and a token is only of what it says", async () => {
    await send("picky", full.subarray(0, full.length / 2));
    const token = await tokenOf("picky");
    const bytes = await bytesOf("picky");
    const rest = await download(`seed@s1&resume=${token}`);
    const reasons = async (body: Buffer, more = "", id = "picky") => {
      const { json } = await send(id, body, more);
      return json.error?.data.reason;
    };
    expect(await reasons(full)).toBe("dataset.exists");
    expect(await reasons(rest, "", "never-begun")).toBe("stream.invalid");
    await send("ahead", full.subarray(0, full.length / 4));
    const behind = await download(`seed@s1&resume=${await tokenOf("ahead")}`);
    expect((await send("picky", behind)).json.error?.message).toMatch(/it goes on at \d+, and what has come/);
    const other = await download(`seed@s2&resume=${token}`);
    expect(other.toString()).toContain("the token is not of tank/seed@s2");
    const asked = async (query: string) => {
      const reply = await fetch(`${daemon.url}/snapshots/download?id=${query}`);
      return { status: reply.status, text: await reply.text() };
    };
    expect(await asked(`seed@s2&from=@s1&resume=${token}`)).toMatchObject({ status: 403 });
    expect(await asked(`seed@s1&resume=${token.slice(0, -1)}0`)).toMatchObject({
      status: 400,
      text: expect.stringContaining("damaged"),
    });
    expect(await asked("seed@s1&resume=1-c740b4779-e0-789c")).toMatchObject({
      status: 400,
      text: expect.stringContaining("not an embedded pool's"),
    });
    expect(await asked(`seed@s1&flags=raw&resume=${token}`)).toMatchObject({ status: 400 });
    const head = await fetch(`${daemon.url}/snapshots/download?id=seed@s1&resume=${token}`, {
      method: "HEAD",
    });
    expect(head.headers.get("x-stream-features")).toContain("resuming");
    expect(Math.abs(Number(head.headers.get("x-estimated-bytes")) - rest.length)).toBeLessThan(2 * MIB);
    // None of that has cost anything.
    expect(await tokenOf("picky")).toBe(token);
    expect(await bytesOf("picky")).toBe(bytes);
    const damaged = Buffer.from(rest);
    damaged.writeUInt8(damaged.readUInt8(rest.length - 400_000) ^ 1, rest.length - 400_000);
    expect(await reasons(damaged)).toBe("stream.cut_short");
    const last = await download(`seed@s1&resume=${await tokenOf("picky")}`);
    expect(last.length).toBeLessThan(MIB);
    expect((await send("picky", last)).status).toBe(200);
    expect(await digestOf("picky")).toBe(digests.s1);
    await giveUp("ahead");
  });

  test("a receiver that is killed, and a daemon that is killed or stopped, leave what has come", async () => {
    let moved = 0;
    const kills: Readonly<Record<string, () => Promise<unknown>>> = {
      receiver: async () => {
        for (const pid of receivers()) process.kill(pid, "SIGKILL");
      },
      daemon: async () => {
        process.kill(daemon.pid, "SIGKILL");
        await daemon.exited;
        daemon = await startDaemonProcess(config);
      },
      "daemon, in order": async () => {
        expect(await daemon.stop()).toBe(0);
        daemon = await startDaemonProcess(config);
      },
    };
    let rest = full;
    for (const [what, kill] of Object.entries(kills)) {
      const { request, reply } = sendTo(receiveUrl(daemon, "killed"));
      const part = rest.subarray(0, Math.floor(rest.length * 0.6));
      request.write(part);
      moved += part.length;
      await until(`${what}: it has come`, async () => {
        const { json } = await askReceive(receiveUrl(daemon, "killed"));
        return (json.receives?.[0]?.bytes ?? 0) >= part.length;
      });
      await kill();
      await reply.catch(() => {});
      request.destroy();
      rest = await download(`seed@s1&resume=${await tokenOf("killed")}`);
    }
    moved += rest.length;
    expect((await send("killed", rest)).status).toBe(200);
    expect(await digestOf("killed")).toBe(digests.s1);
    expect(incoming()).toEqual([]);
    // A receiver that is killed at once has saved what came up to its last step, of 16 MiB.
    expect(moved).toBeLessThan(full.length + 17 * MIB);
  });

  test("a state that is damaged is set aside with its data, and one of no use is removed at a start", async () => {
    await send("damaged", full.subarray(0, full.length / 2));
    await tokenOf("damaged");
    const [other = ""] = incoming();
    writeFileSync(join(poolFolder, "incoming", other, "partial.json"), "{}");
    const { json } = await askReceive(receiveUrl(daemon, "damaged"));
    expect(json.receives).toMatchObject([{ state: "none", token: null }]);
    await expectNothingOf("damaged");
    expect(readdirSync(join(poolFolder, "lost", other))).toContain("disk");
    await send("damaged", full.subarray(0, full.length / 2));
    await tokenOf("damaged");
    const [folderName = ""] = incoming();
    const state = join(poolFolder, "incoming", folderName, "partial.json");
    expect(await daemon.stop()).toBe(0);
    const text = readFileSync(state, "utf8");
    writeFileSync(state, text.replace(/"offset":(\d)/, '"offset":9$1'));
    mkdirSync(join(poolFolder, "incoming", "no-state"));
    writeFileSync(join(poolFolder, "incoming", "no-state", "disk"), "begun");
    daemon = await startDaemonProcess(config);
    await expectNothingOf("damaged");
    expect(readdirSync(join(poolFolder, "lost", folderName))).toContain("disk");
    rmSync(join(poolFolder, "lost"), { recursive: true });
  });

  test("what has come of a stream counts as taken, also after a restart", async () => {
    const quotaBytes = 100 * MIB;
    const small = {
      ...config,
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "small"), quotaBytes }],
      dataDir: join(folder, "small-records"),
    };
    let other = await startDaemonProcess(small);
    onTestFinished(async () => void (await other.stop()));
    const free = async () => {
      const { pools } = await must<{ pools: readonly { free: number }[] }>(other.url, "GetPool", {});
      return pools[0]?.free ?? 0;
    };
    const before = await free();
    await sendAll(receiveUrl(other, "begun"), full.subarray(0, full.length / 2));
    const { json } = await askReceive(receiveUrl(other, "begun"));
    const token = json.receives?.[0]?.token ?? "";
    const taken = full.length / 2 / MIB;
    await until(
      "what was granted ahead is given back",
      async () => Math.abs(before - (await free()) - taken) < 3,
    );
    expect(await other.stop()).toBe(0);
    other = await startDaemonProcess(small);
    expect(Math.abs(before - (await free()) - taken)).toBeLessThan(3);
    const rest = await download(`seed@s1&resume=${token}`);
    expect((await sendAll(receiveUrl(other, "begun"), rest)).status).toBe(200);
    expect(Math.abs(before - (await free()) - DISK_MIB)).toBeLessThan(3);
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
    ];
    for (const [body, words] of bodies) {
      const { status, json } = await send("wrong", body);
      expect(status).toBe(400);
      expect(json.error?.message).toMatch(words);
      await expectNothingOf("wrong");
    }
    // What came before is good, as far as it has come.
    const longer = await send("wrong", Buffer.concat([full, randomBytes(MIB)]));
    expect(longer.json.error?.data.reason).toBe("stream.invalid");
    expect((await askReceive(receiveUrl(daemon, "wrong"), "DELETE")).status).toBe(200);
    await expectNothingOf("wrong");
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
    await giveUp("twice");
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
    expect((await sendAll(url, full, as("mine"))).status).toBe(409);
    expect((await sendAll(`${url}&force=1`, full, as("mine"))).status).toBe(200);
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
