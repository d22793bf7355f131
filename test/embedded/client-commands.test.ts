import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLI, type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { must } from "../support/rpc.js";
import { until } from "../support/until.js";

/** More than a page. */
const MANY = 1_200;

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe("imagestore volume, snapshot, guest, image, pool and call", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;

  beforeAll(async () => {
    const pool = (name: string) => ({
      ...{ name, driver: "embedded", folder: join(folder, name), quotaBytes: 2 ** 33 },
    });
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [pool("tank"), pool("dozer")],
      imageService: "127.0.0.1:1",
      log: { level: "fatal" },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs `imagestore` with these words, and the daemon's address in the environment. */
  async function run(words: readonly string[], url = daemon.url): Promise<Ran> {
    const child = spawn(process.execPath, [CLI, ...words], {
      env: { ...process.env, IMAGESTORE_URL: url },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("data", (chunk: Buffer) => {
        texts[name] += chunk.toString();
      });
    }
    const [status] = (await once(child, "close")) as [number | null];
    return { status, ...texts };
  }

  /** What a command prints, which succeeds. */
  async function shown(words: string): Promise<string> {
    const { status, stdout, stderr } = await run(words.split(" "));
    expect({ words, status, stderr }).toEqual({ words, status: 0, stderr: "" });
    return stdout;
  }

  test("make, show, list, roll back and delete what they say", async () => {
    expect(await shown("volume create g/v --size 64M -H")).toMatch(/^tank\/g\/v\t64\.0 MiB\t\/.*\n$/);
    expect(await shown("volume list")).toContain("NAME       VOLSIZE  DEVICE\ntank/g/v  64.0 MiB  ");
    expect(await shown("snapshot create g/v s1")).toBe("NAME         WRITTEN\ntank/g/v@s1      0 B\n");
    expect(await shown("snapshot create -r g s2 -H")).toBe("tank/g@s2\t0 B\ntank/g/v@s2\t0 B\n");
    expect(await shown("snapshot list g/v -H")).toBe("tank/g/v@s1\t0 B\ntank/g/v@s2\t0 B\n");
    expect(await run(["snapshot", "rollback", "g/v@s1"])).toMatchObject({ status: 5, stdout: "" });
    expect(await shown("snapshot rollback -r g/v@s1 -H")).toBe("tank/g/v@s1\t0 B\n");
    expect(await shown("guest create-disks g1 --disk size=1G --disk size=2G -H")).toMatch(
      /^tank\/guests\/g1\/disk-0\t1\.0 GiB\t\/\S+\t-\ntank\/guests\/g1\/disk-1\t2\.0 GiB\t\/\S+\t-\n$/,
    );
    expect(await shown("guest delete-disks g1 --dry-run -Hp")).toMatch(
      /^tank\/guests\/g1\t0\ntank\/guests\/g1\/disk-0\t\d+\n/,
    );
    expect(await shown("guest show-quota g1")).toMatch(
      /^NAME +QUOTA +USED\ntank\/guests\/g1 +0 B +[\d.]+ \w*B\n$/,
    );
    await shown("guest delete-disks g1");
    expect(JSON.parse(await shown("volume delete g --json"))).toMatchObject({ volumes: [{ id: "tank/g" }] });
    expect(await shown("volume list")).toBe("no volumes\n");
    expect(await shown("image list")).toBe("no images\n");
  });

  test("work on the pool that they name, and on all", async () => {
    await shown("volume create v --size 1G --pool dozer");
    expect(await shown("volume list --pool dozer -H")).toContain("dozer/v\t1.0 GiB");
    expect(await shown("pool status -H")).toMatch(
      /^tank\tembedded\t.*\ndozer\tembedded\t8\.0 GiB\t.*\tONLINE\n$/,
    );
    expect(await shown("pool status dozer")).toMatch(
      /^NAME {3}DRIVER .*\ndozer {2}embedded {2}8\.0 GiB .*\n$/,
    );
    await shown("volume delete v --pool dozer");
  });

  test("print an answer whole: what a number of JavaScript has no room for, and lists of many pages", async () => {
    const made = Array.from({ length: MANY }, (_, index) =>
      must(daemon.url, "CreateVolume", { id: `dozer/many/v${String(index).padStart(4, "0")}`, size: 1 }),
    );
    await Promise.all(made);
    const names = (await shown("volume list --pool dozer -H")).split("\n").map((line) => line.split("\t")[0]);
    expect(names).toHaveLength(MANY + 1);
    expect(new Set(names).size).toBe(MANY + 1);
    const listed = JSON.parse(await shown("volume list --pool dozer --json")) as {
      volumes: { id: string }[];
    };
    expect(listed.volumes.map(({ id }) => id)).toEqual(names.slice(0, -1));
    const service = createServer((_request, response) =>
      response.end('{"jsonrpc":"2.0","result":{"pools":[{"name":"p","size":18446744073709551615}]},"id":1}'),
    );
    service.listen(0, "127.0.0.1");
    await once(service, "listening");
    const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
    const { stdout } = await run(["call", "GetPool"], url);
    service.close();
    expect(stdout).toBe('{"pools":[{"name":"p","size":18446744073709551615}]}\n');
  });

  test.each([
    [4, "volume show none", /^imagestore: not found: tank\/none\n$/],
    [4, "volume list --pool none", /^imagestore: no such pool is configured: "none"/],
    [2, "volume show a@b", /^imagestore: not a volume/],
    [6, "volume create huge --size 9000P", /^imagestore: no space left on device \(size: /],
    [4, "image restore none", /^imagestore: not found: image none in the trash\n$/],
    [75, "image request none", /^imagestore: the image can't be fetched: .*\n$/],
    [1, "volume create v --size 10", /must be a size of whole MiB, such as 512M or 10G/],
    [1, "volume lst", /unknown command 'lst'\n\(Did you mean list\?\)/],
    [1, "call GetPool [1]", /must be a JSON object/],
    [
      1,
      "call GetPol",
      /^imagestore: Method not found \(there is no method "GetPol", did you mean GetPool\?\)\n$/,
    ],
    [1, "call Nothing", /^imagestore: Method not found \(there is no method "Nothing"\)\n$/],
    [
      1,
      "snapshot create v@s",
      /missing required argument 'name'\nusage: imagestore snapshot create \[options\] <\w+> <name>\n$/,
    ],
    [
      1,
      "volume list --url 127.0.0.1:1",
      /HOST:PORT or unix:\/PATH, did you mean http:\/\/127.0.0.1:1\?\nusage: /,
    ],
    [1, "volume list --url /run/socket", /did you mean unix:\/run\/socket\?\nusage: /],
    [1, "volume list --url ftp://host", /or unix:\/PATH\nusage: /],
    [
      3,
      "volume list --url http://none.invalid:1",
      /^imagestore: no answer from http:\/\/none.invalid:1: .*(no such host|looked up now)\n$/,
    ],
  ])("end with %i: %s", async (status, words, line) => {
    const ran = await run(words.split(" "));
    expect(ran).toEqual({ status, stdout: "", stderr: expect.stringMatching(line) });
  });

  test("end with 3 where nothing listens, and say which address is wrong", async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    expect(await run(["pool", "status"], url)).toEqual({
      status: 3,
      stdout: "",
      stderr: `imagestore: no answer from ${url}: nothing listens there\n`,
    });
    expect(await run(["pool", "status"], "tank:1")).toMatchObject({
      status: 2,
      stderr:
        "imagestore: IMAGESTORE_URL: tank:1: must be http://HOST:PORT, https://HOST:PORT or unix:/PATH, did you mean http://tank:1?\n",
    });
  });

  test("end with 3 when the daemon is killed while they wait, and with 1 where another program answers", async () => {
    const service = createServer((request, response) => {
      if (request.url !== "/rpc") return;
      response.writeHead(200).end("<html>");
    });
    service.listen(0, "127.0.0.1");
    await once(service, "listening");
    const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
    expect(await run(["volume", "list"], url)).toMatchObject({ status: 1, stderr: /no JSON from/ });
    service.removeAllListeners("request");
    service.on("request", (request) => request.socket.destroy());
    expect(await run(["volume", "list"], url)).toMatchObject({ status: 3, stdout: "" });
    service.close();
  });

  test("print a list again and again with --watch, as it is then", async () => {
    const child = spawn(process.execPath, [CLI, "volume", "list", "-H", "--watch", "0.1"], {
      env: { ...process.env, IMAGESTORE_URL: daemon.url },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    await must(daemon.url, "CreateVolume", { id: "watched", size: 1 });
    await until("the volume is listed twice", () => text.split("tank/watched").length > 2);
    await must(daemon.url, "DeleteDataset", { id: "watched" });
    child.kill("SIGINT");
    await once(child, "close");
  });

  test("print events as they come, and end with 3 where the daemon ends them", async () => {
    const other = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "other") }],
    });
    const words = ["event", "watch", "--json", "--topics", "volume,snapshot"];
    const child = spawn(process.execPath, [CLI, ...words], {
      env: { ...process.env, IMAGESTORE_URL: other.url },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk: Buffer) => {
      texts.stdout += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      texts.stderr += chunk.toString();
    });
    const ended = once(child, "close");
    // Nobody can tell from outside when it has subscribed.
    await until("an event is printed", async () => {
      await must(other.url, "CreateVolume", { id: "seen", size: 1 });
      return texts.stdout.includes("\n");
    });
    expect(JSON.parse(texts.stdout.split("\n")[0] ?? "")).toMatchObject({
      ...{ topic: "volume", action: "created", id: "tank/seen", origin: "call" },
    });
    await other.stop();
    expect((await ended)[0]).toBe(3);
    expect(texts.stderr).toBe("imagestore: imagestore is stopping: connect again\n");
    expect(await run(["event", "watch", "--topics", "volumes"])).toMatchObject({ status: 2, stdout: "" });
  });
});
