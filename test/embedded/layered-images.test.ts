import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, truncateSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type BreakingService, openBreakingService } from "../support/breaking-service.js";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { startImageCommand } from "../support/image-command.js";
import { childrenOf } from "../support/processes.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1_048_576;
const DISK_MIB = 16;

interface Image {
  readonly id: string;
  readonly status: string;
  readonly volume?: string;
  readonly snapshot?: string;
  readonly origin?: string;
}

interface Answer {
  readonly result?: { readonly images: readonly Image[] | null };
  readonly error?: { readonly message: string; readonly data: { readonly reason: string } };
}

/** Calls a method of JSON-RPC 2.0, whose failures have a reason. */
async function ask(url: string, method: string, params: object): Promise<Answer> {
  const response = await fetch(`${url}/rpc`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  return (await response.json()) as Answer;
}

/** The disk of a volume in three versions, and the streams of them. */
interface Versions {
  readonly disks: readonly [Buffer, Buffer, Buffer];
  readonly full: Buffer;
  /** From the first to the second, and from the second to the third. */
  readonly second: Buffer;
  readonly third: Buffer;
}

async function download(url: string, query: string): Promise<Buffer> {
  const response = await fetch(`${url}/snapshots/download?${query}`);
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

/** Makes the versions as docs/images.md says it, of a volume in the pool `forge`. */
async function makeVersions(url: string): Promise<Versions> {
  const { volumes } = await must<Volumes>(url, "CreateVolume", { id: "forge/build", size: DISK_MIB });
  const disk = Buffer.alloc(DISK_MIB * MIB);
  const disks: Buffer[] = [];
  const write = async (at: number, data: Buffer, tag: string) => {
    data.copy(disk, at);
    await using file = await open(volumes[0]?.device ?? "", "r+");
    await file.write(data, 0, data.length, at);
    await file.sync();
    await must(url, "CreateSnapshot", { id: "forge/build", dest: tag });
    disks.push(Buffer.from(disk));
  };
  await write(0, randomBytes(8 * MIB), "v1");
  // Data in place of data, zeros in place of data, and data in place of zeros.
  const changed = Buffer.concat([Buffer.alloc(MIB), randomBytes(2 * MIB)]);
  await write(6 * MIB, changed, "v2");
  await write(12 * MIB, randomBytes(MIB), "v3");
  const [full, second, third] = [
    await download(url, "id=forge/build@v1"),
    await download(url, "id=forge/build@v2&from=forge/build@v1"),
    await download(url, "id=forge/build@v3&from=forge/build@v2"),
  ];
  await must(url, "DeleteDataset", { id: "forge/build" });
  return { disks: disks as unknown as Versions["disks"], full, second, third };
}

describe("an image that builds on another", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-layered-"));
  let service: BreakingService;
  let other: BreakingService;
  let daemon: DaemonProcess;
  let versions: Versions;

  const config = () => ({
    listen: { port: 0 },
    imageSources: [service.host, other.host],
    pools: ["tank", "forge"].map((name) => ({ name, driver: "embedded", folder: join(folder, name) })),
    imageService: service.host,
    dataDir: join(folder, "data"),
  });

  /** Requests an image of which the service has `body`. */
  function request(id: string, body: Buffer, params: object = {}): Promise<Answer> {
    Object.assign(service.served, { body, isChunked: false });
    return ask(daemon.url, "RequestImage", { id, type: "kvm", ...params });
  }

  async function mustRequest(id: string, body: Buffer, params: object = {}): Promise<Image> {
    const { result, error } = await request(id, body, params);
    expect(error).toBeUndefined();
    return result?.images?.[0] as Image;
  }

  const remove = (id: string, params: object = {}) => ask(daemon.url, "DeleteImage", { id, ...params });

  async function diskOf(id: string): Promise<Buffer> {
    const { volumes } = await must<Volumes>(daemon.url, "GetVolume", { id });
    return readFileSync(volumes[0]?.device ?? "");
  }

  /** The names of all that the pool has, and how many files of it there are. */
  async function pool() {
    const { volumes } = await must<Volumes>(daemon.url, "ListVolumes", {});
    const files = (name: string) => readdirSync(join(folder, "tank", name));
    return {
      names: volumes.map(({ id }) => id).sort(),
      files: files("volumes").length,
      incoming: files("incoming"),
    };
  }

  /** The failure of what changes nothing. */
  async function refused(answer: () => Promise<Answer>) {
    const before = await pool();
    const { error } = await answer();
    expect(await pool()).toEqual(before);
    return { reason: error?.data.reason, message: error?.message };
  }

  beforeAll(async () => {
    service = await openBreakingService(Buffer.alloc(0));
    other = await openBreakingService(Buffer.alloc(0));
    daemon = await startDaemonProcess(config());
    versions = await makeVersions(daemon.url);
    await mustRequest("golden", versions.full);
  });
  afterAll(async () => {
    await daemon?.stop();
    await service?.close();
    await other?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    ["plain", "golden"],
    ["gzip", "golden@v1"],
    ["plain", "tank/images/golden@v1"],
  ])("has the bytes of its stream on those of its origin, and says so: %s, %s", async (kind, origin) => {
    const body = kind === "gzip" ? gzipSync(versions.second, { level: 1 }) : versions.second;
    const image = await mustRequest("web", body, { origin });
    expect(image).toEqual({
      ...{ id: "web", type: "kvm", volume: "tank/images/web", snapshot: "tank/images/web@v2" },
      ...{ size: DISK_MIB, status: "complete", origin: "tank/images/golden@v1" },
    });
    expect((await diskOf("images/web")).equals(versions.disks[1])).toBe(true);
    expect((await diskOf("images/golden")).equals(versions.disks[0])).toBe(true);
    const { result } = await ask(daemon.url, "GetImage", { id: "web" });
    expect(result?.images).toEqual([image]);
    const listed = (await ask(daemon.url, "ListImages", {})).result?.images ?? [];
    expect(listed.map(({ id, origin: from }) => [id, from])).toEqual([
      ["golden", undefined],
      ["web", "tank/images/golden@v1"],
    ]);
    const clones = await must<Volumes>(daemon.url, "ListVolumes", { origin: "images/golden" });
    expect(clones.volumes.map(({ id }) => id)).toEqual(["tank/images/web"]);
    // Its snapshot has written what its stream had, and not what its origin has.
    const { snapshots } = await must<Snapshots>(daemon.url, "GetSnapshot", { id: "images/web@v2" });
    expect(snapshots[0]?.size).toBeLessThanOrEqual(3);
    await must(daemon.url, "CloneImage", { id: "web", dest: "guests/g/disk-0" });
    expect((await diskOf("guests/g/disk-0")).equals(versions.disks[1])).toBe(true);
    await must(daemon.url, "DeleteDataset", { id: "guests/g" });
    expect((await remove("web")).error).toBeUndefined();
  });

  test("is asked for by the command line, which says what is missing", async () => {
    Object.assign(service.served, { body: versions.second, isChunked: false });
    const run = (...words: string[]) =>
      startImageCommand(["request", "web", "--origin", ...words, "--url", daemon.url]).ended;
    const missing = await run("silver");
    expect(missing.stderr).toContain("origin: there is no image silver, request it before");
    expect(missing.status).not.toBe(0);
    const made = await run("golden@v1", "--json");
    expect(made.stderr).toBe("");
    expect(made.stdout.toString()).toContain('"origin":"tank/images/golden@v1"');
    await remove("web");
  });

  test("can be built on in turn; a restart knows all origins", async () => {
    await mustRequest("web", versions.second, { origin: "golden" });
    await mustRequest("shop", versions.third, { origin: "web" });
    expect((await diskOf("images/shop")).equals(versions.disks[2])).toBe(true);
    const origins = async () => {
      const { result } = await ask(daemon.url, "ListImages", {});
      return Object.fromEntries((result?.images ?? []).map(({ id, origin }) => [id, origin]));
    };
    const before = { golden: undefined, web: "tank/images/golden@v1", shop: "tank/images/web@v2" };
    expect(await origins()).toEqual(before);
    await daemon.stop();
    daemon = await startDaemonProcess(config());
    expect(await origins()).toEqual(before);
    expect((await diskOf("images/shop")).equals(versions.disks[2])).toBe(true);
    for (const id of ["shop", "web"]) expect((await remove(id)).error).toBeUndefined();
  });

  test("needs an origin that is there, or nothing is fetched", async () => {
    const asked = service.asked.length;
    const origin = (text: string) => refused(() => request("web", versions.second, { origin: text }));
    expect(await origin("silver")).toEqual({
      reason: "image.not_found",
      message: "origin: there is no image silver, request it before",
    });
    expect(await origin("golden@v9")).toEqual({
      reason: "dataset.not_found",
      message: "origin: there is no tank/images/golden@v9",
    });
    for (const text of ["web", "forge/images/golden", "tank/guests", "golden@v1@v2", "../golden"]) {
      const { reason } = await origin(text);
      expect(reason, text).toMatch(/^(?:request|name)\.invalid$/);
    }
    expect(service.asked).toHaveLength(asked);
  });

  test("is refused where its stream builds on another snapshot, on none, or is not said to build on one", async () => {
    const guid = /builds on the snapshot with the guid \d+/;
    const wrong = await refused(() => request("web", versions.third, { origin: "golden" }));
    expect(wrong.reason).toBe("image.bad_stream");
    expect(wrong.message).toMatch(guid);
    expect(wrong.message).toMatch(
      /its origin tank\/images\/golden@v1 has the guid \d+: another snapshot, or another image, must be named/,
    );
    const whole = await refused(() => request("web", versions.full, { origin: "golden" }));
    expect(whole).toMatchObject({ reason: "image.bad_stream" });
    expect(whole.message).toContain(
      "it is whole and builds on no other: it must be asked for without an origin",
    );
    const without = await refused(() => request("web", versions.second));
    expect(without.reason).toBe("image.bad_stream");
    expect(without.message).toMatch(guid);
    expect(without.message).toContain("must be named as its origin");
  });

  test("goes on where its connection breaks, and is tried at the next source where the first has another", async () => {
    const { second, third, disks } = versions;
    service.served.breaks = [second.length >> 2, second.length >> 1];
    const asked = service.asked.length;
    await mustRequest("web", second, { origin: "golden" });
    expect(service.asked.length - asked).toBe(3);
    expect((await diskOf("images/web")).equals(disks[1])).toBe(true);
    await remove("web");
    Object.assign(other.served, { body: second });
    const sources = [service, other].map(({ host }) => `http://${host}/web`);
    await mustRequest("web", third, { origin: "golden", sources });
    expect((await diskOf("images/web")).equals(disks[1])).toBe(true);
    await remove("web");
  });

  test("is not published with another digest, cut short for good, or damaged", async () => {
    const { second } = versions;
    const digest = createHash("sha256").update(second).digest("hex");
    const params = { origin: "golden" };
    const wrong = await refused(() => request("web", second, { ...params, digest: "0".repeat(64) }));
    expect(wrong.reason).toBe("image.digest_mismatch");
    const short = await refused(() => request("web", second.subarray(0, MIB), params));
    expect(short.reason).toBe("image.cut_short");
    const damaged = Buffer.from(second);
    damaged.fill(1, MIB, MIB + 64);
    // Its checksums are wrong, which the receiver can't tell from an end that comes early.
    expect((await refused(() => request("web", damaged, params))).reason).toBe("image.cut_short");
    await mustRequest("web", second, { ...params, digest });
    await remove("web");
  });

  /** Begins a request whose stream stands still in the middle, and waits until it is received. */
  async function begin(id: string): Promise<{ readonly requested: Promise<Answer> }> {
    Object.assign(service.served, { breaks: [MIB], how: "silence" });
    onTestFinished(() => void Object.assign(service.served, { breaks: [], how: "reset" }));
    const requested = request(id, versions.second, { origin: "golden" });
    // The origin's data is there, and so a part of the stream is.
    const incoming = join(folder, "tank", "incoming");
    const begun = () =>
      readdirSync(incoming).some((each) => readdirSync(join(incoming, each)).includes("disk"));
    await until("the stream is received", begun);
    return { requested };
  }

  test("keeps its origin while it is fetched, which others can't have with another origin", async () => {
    const { names } = await pool();
    const { requested } = await begin("web");
    const held = await remove("golden");
    expect(held.error?.data.reason).toBe("snapshot.held");
    expect((await ask(daemon.url, "DeleteDataset", { id: "images/golden" })).error?.data.reason).toBe(
      "snapshot.held",
    );
    const joined = await ask(daemon.url, "RequestImage", { id: "web", origin: "silver" });
    expect(joined.error).toMatchObject({
      message:
        "image web is being fetched with another origin (origin: found tank/images/golden@v1, wanted silver)",
      data: { reason: "dataset.exists" },
    });
    const early = await ask(daemon.url, "RequestImage", { id: "shop", origin: "web" });
    expect(early.error?.data.reason).toBe("dataset.busy");
    const jobs = await must<{ jobs: { id: string; dataset: string }[] }>(daemon.url, "ListJobs", {
      state: "running",
    });
    const job = jobs.jobs.find(({ dataset }) => dataset === "tank/images/web");
    await must(daemon.url, "CancelJob", { id: job?.id });
    expect((await requested).error?.data.reason).toBe("job.cancelled");
    expect((await pool()).names).toEqual(names);
    // Nothing holds it any more.
    expect((await remove("golden")).error).toBeUndefined();
    await mustRequest("golden", versions.full);
  });

  test("leaves nothing where its receive is killed, and none of it where the daemon is", async () => {
    const { names } = await pool();
    const { requested } = await begin("web");
    for (const pid of childrenOf(daemon.pid, "receive-process")) process.kill(pid, "SIGKILL");
    expect((await requested).error?.message).toMatch(/killed by SIGKILL/);
    expect((await pool()).names).toEqual(names);

    const lost = await begin("web");
    lost.requested.catch(() => {});
    daemon.process.kill("SIGKILL");
    await daemon.exited;
    Object.assign(service.served, { breaks: [], how: "reset" });
    daemon = await startDaemonProcess(config());
    await until("the receive has ended", async () => (await pool()).incoming.length === 0);
    expect((await pool()).names).toEqual(names);
    await mustRequest("web", versions.second, { origin: "golden" });
    expect((await diskOf("images/web")).equals(versions.disks[1])).toBe(true);
    await remove("web");
    expect((await remove("golden")).error).toBeUndefined();
    await mustRequest("golden", versions.full);
  });

  test.each([
    ["driver.hold.end#1", false],
    ["driver.finishReceive.end#1", false],
    ["driver.rename.begin#1", false],
    ["driver.rename.end#1", true],
    ["records.putImage.begin#1", true],
  ])("of a daemon that is killed at %s is there with its origin, or not at all", async (step, isThere) => {
    const { names } = await pool();
    await daemon.stop();
    const trace = join(folder, "trace");
    for (const file of [trace, `${trace}.acted`]) rmSync(file, { force: true });
    const fault = { IMAGESTORE_TRACE: trace, IMAGESTORE_TRACE_FAULT: `actor.${step}:kill` };
    daemon = await startDaemonProcess(config(), fault);
    await request("web", versions.second, { origin: "golden" }).catch(() => {});
    expect(await daemon.exited).toBeNull();
    daemon = await startDaemonProcess(config());
    const { result } = await ask(daemon.url, "GetImage", { id: "web" });
    expect(result?.images?.[0]?.origin).toBe(isThere ? "tank/images/golden@v1" : undefined);
    const { snapshots } = await must<Snapshots>(daemon.url, "ListSnapshots", { id: "images" });
    const before = ["tank/images/golden@v1"];
    expect(snapshots.map(({ id }) => id)).toEqual(isThere ? [...before, "tank/images/web@v2"] : before);
    if (isThere) {
      expect((await diskOf("images/web")).equals(versions.disks[1])).toBe(true);
      await remove("web");
    }
    expect(await pool()).toMatchObject({ names, incoming: [] });
    // Nothing holds the origin any more.
    expect((await remove("golden")).error).toBeUndefined();
    expect((await pool()).files).toBe(0);
    await mustRequest("golden", versions.full);
  });

  test("is refused where its origin's data is damaged", async () => {
    await mustRequest("broken", versions.full);
    const { volumes } = await must<Volumes>(daemon.url, "GetVolume", { id: "images/broken" });
    truncateSync(realpathSync(volumes[0]?.device ?? ""), MIB);
    const { reason, message } = await refused(() => request("web", versions.second, { origin: "broken" }));
    expect(reason).toBe("command.failed");
    expect(message).toContain("tank/images/broken@v1");
    await remove("broken");
  });

  test("keeps its origin from being deleted and pruned, or goes on without its name", async () => {
    await mustRequest("web", versions.second, { origin: "golden" });
    await mustRequest("shop", versions.third, { origin: "web" });
    const kept = await refused(() => remove("golden"));
    expect(kept).toMatchObject({ reason: "dataset.has_clones" });
    expect(kept.message).toContain("clones: tank/images/web");
    const prune = { type: "kvm", olderThanSeconds: 1 };
    await until("all of them are due", async () => {
      const { result } = await ask(daemon.url, "PruneImages", { ...prune, dryRun: true });
      return result?.images?.length === 1;
    });
    const pruned = await ask(daemon.url, "PruneImages", prune);
    expect(pruned.result?.images?.map(({ id }) => id)).toEqual(["shop"]);
    await mustRequest("shop", versions.third, { origin: "web" });

    for (const id of ["golden", "web"]) {
      expect((await remove(id, { whenInUse: "trash" })).error).toBeUndefined();
    }
    // What it builds on has no name any more that a request can have.
    const left = (await ask(daemon.url, "ListImages", {})).result?.images ?? [];
    expect(left).toEqual([
      { ...left[0], id: "shop", snapshot: "tank/images/shop@v3", status: "complete", origin: undefined },
    ]);
    expect("origin" in (left[0] ?? {})).toBe(false);
    expect((await diskOf("images/shop")).equals(versions.disks[2])).toBe(true);
    await daemon.stop();
    daemon = await startDaemonProcess(config());
    expect((await ask(daemon.url, "ListImages", {})).result?.images).toEqual(left);
    // All go with the last one, whichever way they lie.
    expect((await ask(daemon.url, "ListImages", { trash: true })).result?.images).toHaveLength(2);
    expect((await remove("shop")).error).toBeUndefined();
    expect((await ask(daemon.url, "ListImages", { trash: true })).result?.images).toBeNull();
    expect(await pool()).toMatchObject({ names: [], files: 0, incoming: [] });
    await mustRequest("golden", versions.full);
  });

  test("counts as what it holds, and is refused without room for that", async () => {
    const own = mkdtempSync(join(folder, "small-"));
    const small = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(own, "pool"), quotaBytes: 15 * MIB }],
      imageService: service.host,
      dataDir: join(own, "data"),
    });
    onTestFinished(async () => void (await small.stop()));
    service.served.body = versions.full;
    const first = await ask(small.url, "RequestImage", { id: "golden" });
    expect(first.error).toBeUndefined();
    service.served.body = versions.second;
    const second = await ask(small.url, "RequestImage", { id: "web", origin: "golden" });
    expect(second.error?.data.reason).toBe("pool.no_space");
    expect(readdirSync(join(own, "pool", "volumes"))).toHaveLength(1);
    expect(readdirSync(join(own, "pool", "incoming"))).toEqual([]);
    expect((await ask(small.url, "DeleteImage", { id: "golden" })).error).toBeUndefined();
  });
});
