import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { compiled } from "../support/in-process.js";

type ClientModule = typeof import("../../src/client/client.js");

describe("imagestore/client", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;
  let connect: ClientModule["connect"];
  let client: ReturnType<ClientModule["connect"]>;

  beforeAll(async () => {
    ({ connect } = await compiled<ClientModule>("client/client.js"));
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank"), quotaBytes: 2 ** 33 }],
      imageService: "127.0.0.1:1",
      images: { attempts: 1 },
      log: { level: "fatal" },
    });
    client = connect({ url: daemon.url });
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("has a function for each method, with typed answers", async () => {
    const { volumes } = await client.createVolume({ id: "guests/a", size: 16 });
    const [{ id, size }] = volumes;
    expect([id, size]).toEqual(["tank/guests/a", 16]);
    const { snapshots } = await client.createSnapshot({ id, dest: "s1" });
    expect(snapshots.map((each) => each.id)).toEqual(["tank/guests/a@s1"]);
    const { pools } = await client.getPool();
    expect(pools[0]?.driver).toBe("embedded");
    expect((await client.listImages()).images).toBeNull();
  });

  test("keeps the digits of numbers that JavaScript would round", async () => {
    const memory = 2n ** 64n - 1n;
    const asked = { id: "big", memory, vnc: -(2n ** 63n), disks: [{ size: 8 }] };
    const { guest } = await client.verifyDisks({ guest: asked });
    expect(guest).toMatchObject({ memory, vnc: asked.vnc });
    await expect(client.createVolume({ id: "v", size: 2 ** 53 })).rejects.toMatchObject({
      reason: "pool.no_space",
    });
  });

  test("rejects with what the daemon says of a failure", async () => {
    const { CallError } = await compiled<ClientModule>("client/client.js");
    const failure = await client.createVolume({ id: "guests/a", size: 17 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CallError);
    expect(failure).toMatchObject({
      method: "CreateVolume",
      code: 1002,
      reason: "dataset.exists",
      errno: "EEXIST",
      retryable: false,
      about: { field: "size", found: "16 MiB", wanted: "17 MiB" },
    });
  });

  test("sends calls as a batch", async () => {
    const [one, none] = await client.batch([
      ["GetVolume", { id: "guests/a" }],
      ["GetImage", { id: "none" }],
    ]);
    expect(one).toMatchObject({ volumes: [{ id: "tank/guests/a" }] });
    expect(none).toMatchObject({ reason: "image.not_found" });
  });

  async function digestOf(stream: ReadableStream<Uint8Array>) {
    const hash = createHash("sha256");
    for await (const chunk of stream) hash.update(chunk);
    return hash.digest("hex");
  }

  test("downloads a snapshot, whole", async () => {
    const reply = await fetch(`${daemon.url}/snapshots/download?id=guests/a@s1`);
    const expected = createHash("sha256")
      .update(Buffer.from(await reply.arrayBuffer()))
      .digest("hex");
    expect(await digestOf(await client.download("guests/a@s1"))).toBe(expected);
    await expect(client.download("guests/a@none")).rejects.toMatchObject({
      name: "NoAnswerError",
      status: 404,
      message: "HTTP status 404: not found",
    });
  });

  test("tells what happens, and what has happened since a place", async () => {
    const seen: string[] = [];
    let place = "";
    const make = (id: string) => client.createVolume({ id, size: 8 });
    const onBegin = () => void make("guests/b");
    for await (const { topic, action, id, epoch, seq } of client.events({ topics: ["volume"], onBegin })) {
      seen.push(`${topic} ${action} ${id}`);
      place = `${epoch}:${seq}`;
      break;
    }
    await make("guests/c");
    const begins: boolean[] = [];
    const later = client.events({ since: place, onBegin: ({ complete }) => begins.push(complete) });
    for await (const { topic, action, id } of later) {
      seen.push(`${topic} ${action} ${id}`);
      break;
    }
    expect(seen).toEqual(["volume created tank/guests/b", "volume created tank/guests/c"]);
    expect(begins).toEqual([true]);
  });

  test("leaves a download that nobody reads on", async () => {
    const stream = await client.download("guests/a@s1", { pool: "tank" });
    await stream.cancel();
    const controller = new AbortController();
    const aborted = await client.download("guests/a@s1", { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(digestOf(aborted)).rejects.toThrow();
  });

  test("fails a download that is not what the daemon has sent", async () => {
    /** Stands before the daemon, and cuts the last byte of each download, or tells of a failure. */
    const results: object[] = [];
    const proxy = createServer((request, response) => {
      if (request.url?.startsWith("/snapshots/download/result")) {
        const [result = {}] = results.splice(0, 1);
        response.setHeader("Content-Type", "application/json").end(JSON.stringify(result));
      } else response.setHeader("X-Download-Id", "d 1").end("stream");
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    const cut = connect({ url: `http://127.0.0.1:${port}` });
    const read = async (...told: object[]) => {
      results.splice(0, results.length, ...told);
      return digestOf(await cut.download("v@s"));
    };
    await expect(read({ state: "complete", bytes: 7 })).rejects.toThrow("cut short: 6 of 7 bytes came");
    await expect(
      read(
        { state: "running" },
        { state: "failed", reason: "service.interrupted", message: "the send ended" },
      ),
    ).rejects.toMatchObject({
      name: "DownloadError",
      reason: "service.interrupted",
      message: /the send ended/,
    });
    await expect(read({ state: "complete", bytes: 6 })).resolves.toHaveLength(64);
    await expect(read({ state: "complete" })).resolves.toHaveLength(64);
    await new Promise((resolve) => proxy.close(resolve));
    await expect(connect({ url: `http://127.0.0.1:${port}`, retries: 0 }).getPool()).rejects.toThrow(
      `no answer from http://127.0.0.1:${port}: `,
    );
  });
});
