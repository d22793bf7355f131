import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGate, type ImageService, openImageService, status } from "../conformance/image-service.js";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { must, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1_048_576;
const LIMITS = {
  bodyBytes: 4_096,
  /** So that one batch can fill the mailbox. */
  batchLength: 6,
  batchLists: 3,
  replyBytes: 65_536,
  replyBytesInFlight: 2 * 65_536,
  disksPerGuest: 3,
  mailbox: 6,
  downloads: 2,
} as const;
const NUM_FETCHERS = 2;
const MAX_PENDING = 2;

interface Answer {
  readonly result?: { readonly snapshots?: readonly unknown[] };
  readonly error?: { readonly message: string; readonly data: Readonly<Record<string, unknown>> };
}

/** For each limit: what reaches it exactly is done, and one more is refused with its name and value. */
describe("limits of a running daemon", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let service: ImageService;
  let daemon: DaemonProcess;
  let requests = 0;

  beforeAll(async () => {
    const port = await freePort();
    service = await openImageService(port);
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
      dataDir: join(folder, "records"),
      imageService: `127.0.0.1:${port}`,
      numFetchers: NUM_FETCHERS,
      maxPending: MAX_PENDING,
      limits: LIMITS,
      log: { level: "info" },
    });
    for (const id of ["a", "b", "c", "d", "full"]) await must(daemon.url, "CreateVolume", { id, size: 1 });
  });
  afterAll(async () => {
    expect(await daemon.stop()).toBe(0);
    await service.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const request = (method: string, params: object) => ({ jsonrpc: "2.0", method, params, id: ++requests });

  async function post(body: string, path = "/rpc", requestId = "limits") {
    const headers = { "content-type": "application/json", "x-request-id": requestId };
    const response = await fetch(`${daemon.url}${path}`, { method: "POST", headers, body });
    return { status: response.status, text: await response.text() };
  }
  async function ask(method: string, params: object): Promise<Answer> {
    return JSON.parse((await post(JSON.stringify(request(method, params)))).text);
  }
  async function batch(calls: readonly object[], requestId?: string): Promise<readonly Answer[] & Answer> {
    return JSON.parse((await post(JSON.stringify(calls), "/rpc", requestId)).text);
  }

  test("limits.bodyBytes", async () => {
    const body = (length: number) => JSON.stringify(request("GetPool", {})).padEnd(length, " ");
    expect(JSON.parse((await post(body(LIMITS.bodyBytes))).text).error).toBe(undefined);
    const words = "the body is larger than limits.bodyBytes (4096 bytes) allows";
    expect(await post(body(LIMITS.bodyBytes + 1))).toEqual({ status: 413, text: `rpc: ${words}` });
    expect(await post(body(LIMITS.bodyBytes + 1), "/snapshots/download")).toEqual({
      status: 413,
      text: `${words}\n`,
    });
  });

  test("limits.batchLength", async () => {
    const calls = Array.from({ length: LIMITS.batchLength + 1 }, () => request("GetVolume", { id: "a" }));
    const answers = await batch(calls.slice(1));
    expect(answers.map(({ error }) => error)).toEqual(calls.slice(1).map(() => undefined));
    expect((await batch(calls)).error?.data.detail).toBe(
      "a batch holds at most 6 requests (limits.batchLength), got 7",
    );
  });

  test("limits.batchLists", async () => {
    const calls = ["a", "b", "c", "d"].map((id) => request("ListSnapshots", { id }));
    const answers = await batch(calls.slice(1));
    expect(answers.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    expect((await batch(calls)).error?.data.detail).toBe(
      "a batch holds at most 3 different lists and recursive calls (limits.batchLists), got 4",
    );
  });

  test("limits.disksPerGuest", async () => {
    const guest = (count: number) => ({
      guest: { id: "g", disks: Array.from({ length: count }, () => ({ size: 1 })) },
    });
    for (const method of ["VerifyDisks", "CreateGuestDisks"]) {
      const { error } = await ask(method, guest(LIMITS.disksPerGuest + 1));
      expect(error?.message).toContain("a guest may have at most 3 disks (limits.disksPerGuest)");
      expect(await ask(method, guest(LIMITS.disksPerGuest))).not.toHaveProperty("error");
    }
  });

  test("limits.mailbox", async () => {
    const gate = createGate();
    service.serve("shared", gate.hold(status(404)));
    // They come in one turn, and those of one image share a fetch: all of them are pending until it ends.
    const calls = Array.from({ length: LIMITS.mailbox }, () => request("RequestImage", { id: "shared" }));
    const fetches = batch(calls);
    await until("the image is being fetched", () => service.requests("shared") === 1);
    const words = "resource temporarily unavailable (limits.mailbox: wanted at most 6 pending operations)";
    for (const method of ["GetVolume", "DeleteDataset", "ListSnapshots"]) {
      const { error } = await ask(method, { id: "nothing" });
      expect([error?.message, error?.data.reason]).toEqual([words, "service.overloaded"]);
    }
    const download = await fetch(`${daemon.url}/snapshots/download?id=a@s`);
    expect([download.status, await download.text()]).toEqual([503, `${words}\n`]);
    gate.open();
    // Those that were taken are answered by what the service said.
    for (const { error } of await fetches) {
      expect(error?.data.reason).toBe("image.source_not_found");
    }
    expect((await ask("GetVolume", { id: "a" })).error).toBe(undefined);
  });

  test("numFetchers and maxPending", async () => {
    const gate = createGate();
    const ids = Array.from({ length: NUM_FETCHERS + MAX_PENDING }, (_, index) => `queued-${index}`);
    for (const id of ids) service.serve(id, gate.hold(status(404)));
    const running = () => ids.filter((id) => service.requests(id) > 0).length;
    const fetches = ids.map((id) => ask("RequestImage", { id }));
    await until("all are known", async () => {
      const found = await Promise.all(ids.map((id) => ask("GetImage", { id })));
      return found.every(({ error }) => error === undefined);
    });
    await until("as many run as may", () => running() === NUM_FETCHERS);
    const { error } = await ask("RequestImage", { id: "one-more" });
    expect([error?.message, error?.data.reason]).toEqual([
      "resource temporarily unavailable (maxPending: wanted at most 2 waiting fetches)",
      "service.overloaded",
    ]);
    expect(running()).toBe(NUM_FETCHERS);
    gate.open();
    for (const answer of await Promise.all(fetches)) {
      expect(answer.error?.data.reason).toBe("image.source_not_found");
    }
    expect(running()).toBe(ids.length);
  });

  test("limits.downloads", async () => {
    const { volumes } = await must<Volumes>(daemon.url, "CreateVolume", { id: "large", size: 32 });
    writeFileSync(volumes[0]?.device ?? "", randomBytes(32 * MIB), { flag: "r+" });
    await must(daemon.url, "CreateSnapshot", { id: "large", dest: "s" });
    const url = `${daemon.url}/snapshots/download?id=large@s`;
    /** Begins a download and reads no more than its head. */
    const begin = () =>
      new Promise<IncomingMessage>((resolve, reject) =>
        get(url, { agent: false }, (response) => resolve(response.pause())).once("error", reject),
      );
    const running = [await begin(), await begin()];
    expect(running.map(({ statusCode }) => statusCode)).toEqual([200, 200]);
    const refused = await fetch(url);
    expect([refused.status, await refused.text()]).toEqual([
      503,
      "resource temporarily unavailable (limits.downloads: wanted at most 2 at once)\n",
    ]);
    running[0]?.on("error", () => {}).destroy();
    await until("there is room again", async () => {
      const next = await begin();
      next.on("error", () => {}).destroy();
      return next.statusCode === 200;
    });
    running[1]?.on("error", () => {}).destroy();
  });

  describe("of a list that is exactly as long as a reply may be", () => {
    /** The text has 16 bytes around the records, and a record 18 beside its name, with commas between. */
    const NAME_BYTES = 247;
    const RECORD_BYTES = 18 + NAME_BYTES;
    const whole = Math.floor((LIMITS.replyBytes - 16 + 1) / (RECORD_BYTES + 1));
    const lastName = LIMITS.replyBytes - 16 - whole * (RECORD_BYTES + 1) - 18;
    const tag = (index: number, nameBytes: number) =>
      `${index}-`.padEnd(nameBytes - "tank/full@".length, "n");
    const list = () => ask("ListSnapshots", { id: "full" });

    beforeAll(async () => {
      for (let index = 0; index < whole; index++) {
        await must(daemon.url, "CreateSnapshot", { id: "full", dest: tag(index, NAME_BYTES) });
      }
      await must(daemon.url, "CreateSnapshot", { id: "full", dest: tag(whole, lastName) });
    }, 120_000);

    test("limits.replyBytesInFlight", async () => {
      const gate = createGate();
      service.serve("slow", gate.hold(status(404)));
      // A batch keeps the room of its list for as long as another call of it runs.
      const holding = ["first", "second"].map((requestId) =>
        batch([request("ListSnapshots", { id: "full" }), request("RequestImage", { id: "slow" })], requestId),
      );
      const isListed = (requestId: string) =>
        daemon
          .log()
          .split("\n")
          .some((line) => line.includes(`"${requestId}"`) && line.includes("ListSnapshots"));
      await until("both hold their lists", () => ["first", "second"].every(isListed));
      const { error } = await list();
      expect([error?.message, error?.data.reason]).toEqual([
        "the replies to other requests take all of limits.replyBytesInFlight (131072 bytes), try again",
        "service.overloaded",
      ]);
      // Small answers have room.
      expect((await ask("GetVolume", { id: "a" })).error).toBe(undefined);
      gate.open();
      for (const [listed] of await Promise.all(holding)) {
        expect(listed?.result?.snapshots?.length).toBe(whole + 1);
      }
      expect((await list()).error).toBe(undefined);
    });

    test("limits.replyBytes", async () => {
      expect((await list()).result?.snapshots?.length).toBe(whole + 1);
      await must(daemon.url, "DeleteSnapshot", { id: `full@${tag(whole, lastName)}` });
      await must(daemon.url, "CreateSnapshot", { id: "full", dest: tag(whole, lastName + 1) });
      const { error } = await list();
      expect(error?.message).toContain("the answer is longer than limits.replyBytes (65536 bytes) allows");
      expect(error?.data.reason).toBe("service.reply_too_large");
    });
  });
});
