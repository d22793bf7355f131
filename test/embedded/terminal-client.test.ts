import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer, get, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { createRandomSnapshot } from "../support/random-snapshot.js";
import { type Images, must } from "../support/rpc.js";
import { imagestoreOnTerminal, noTerminal } from "../support/terminal.js";
import { until } from "../support/until.js";

if (noTerminal !== undefined) console.log(`the commands on a terminal are not tested: ${noTerminal}`);

describe.skipIf(noTerminal !== undefined)("on a terminal", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;
  let stream = Buffer.alloc(0);
  /** Those whose second half is still to come. */
  const halves: ServerResponse[] = [];
  /** An image service that sends half of an image. */
  const service = createServer((_request, response) => {
    response.writeHead(200, { "Content-Length": stream.length });
    response.write(stream.subarray(0, stream.length / 2));
    halves.push(response);
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    const { port } = service.address() as AddressInfo;
    const pool = (name: string) => ({
      ...{ name, driver: "embedded", folder: join(folder, name), quotaBytes: 2 ** 33 },
    });
    daemon = await startDaemonProcess({
      ...{ listen: { port: 0 }, pools: [pool("tank"), pool("dozer")], imageService: `127.0.0.1:${port}` },
      log: { level: "fatal" },
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    service.closeAllConnections();
    service.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (words: string, more = {}) =>
    imagestoreOnTerminal(words.split(" "), { env: { IMAGESTORE_URL: daemon.url }, ...more });

  test("a deletion tells what goes, and does nothing without a yes", async () => {
    for (const id of ["g/a", "g/b"]) await must(daemon.url, "CreateVolume", { id, size: 64 });
    await must(daemon.url, "CreateSnapshot", { id: "g/a", dest: "s1" });
    const refused = start("volume delete g");
    await refused.sees("Go on? [y/N] ");
    expect(refused.text()).toBe(
      "This deletes g, with all below it:\n  tank/g\n  tank/g/a\n  tank/g/a@s1\n  tank/g/b\nGo on? [y/N] ",
    );
    refused.type("n\n");
    expect(await refused.ended).toBe(1);
    expect(refused.text()).toContain("imagestore: nothing was done\n");
    const interrupted = start("snapshot rollback -r g/a@s1");
    await interrupted.sees("lost, and those of its snapshots that are newer. Go on?".replace(" Go", "\nGo"));
    interrupted.type("\x03");
    expect(await interrupted.ended).toBe(130);
    const agreed = start("volume delete g");
    await agreed.sees("Go on? [y/N] ");
    agreed.type("y\n");
    expect(await agreed.ended).toBe(0);
    await must(daemon.url, "CreateVolume", { id: "g", size: 1 });
    expect(await start("volume delete g --yes").ended).toBe(0);
  });

  test("a mistyped name or pool gets the nearest", async () => {
    await must(daemon.url, "CreateVolume", { id: "guests/web1/disk-0", size: 1 });
    const mistyped = start("volume show guests/web1/disk-1");
    expect(await mistyped.ended).toBe(4);
    expect(mistyped.text()).toContain("not found: tank/guests/web1/disk-1, did you mean guests/web1/disk-0?");
    const other = start("volume list --pool dozr");
    expect(await other.ended).toBe(4);
    expect(other.text()).toContain('no such pool is configured: "dozr", did you mean dozer?');
  });

  test("tables fit it, in colours; a watch stays in its place until Ctrl-C", async () => {
    const narrow = start("pool status", { columns: 40 });
    expect(await narrow.ended).toBe(0);
    for (const line of narrow.text().split("\n")) expect(line.length).toBeLessThanOrEqual(40);
    expect(narrow.shown()).toContain("\x1b[32mONLINE\x1b[39m");
    const plain = start("pool status", { env: { IMAGESTORE_URL: daemon.url, NO_COLOR: "1" } });
    await plain.ended;
    expect(plain.shown()).not.toContain("\x1b[");
    const watching = start("volume list --pool dozer --watch 0.1");
    await watching.sees("no volumes");
    await must(daemon.url, "CreateVolume", { id: "dozer/seen", size: 1 });
    await watching.sees("dozer/seen");
    watching.type("\x03");
    expect(await watching.ended).toBe(130);
  });

  test("a fetch shows how far it is; Ctrl-C cancels it and leaves nothing", async () => {
    await must(daemon.url, "CreateVolume", { id: "seed", size: 64 });
    await must(daemon.url, "CreateSnapshot", { id: "seed", dest: "s" });
    const download = await fetch(`${daemon.url}/snapshots/download?id=seed@s`);
    stream = Buffer.from(await download.arrayBuffer());
    const images = async () => (await must<Images>(daemon.url, "ListImages", {})).images ?? [];

    const given = start("image request golden");
    await given.sees(/\[=+ +\] (49|50) %, .* of /);
    given.type("\x03");
    expect(await given.ended).toBe(130);
    expect(given.text()).toContain("imagestore: ");
    expect(await images()).toEqual([]);

    const requested = start("image request golden");
    await requested.sees(/\[=+ +\] (49|50) %/);
    halves.at(-1)?.end(stream.subarray(stream.length / 2));
    expect(await requested.ended).toBe(0);
    await requested.sees(/golden.*complete/);
    const json = start("image request golden --json");
    expect(await json.ended).toBe(0);
    expect(json.text()).toContain('{"images":[{"id":"golden"');
  });

  test("a download shows about how far it is; Ctrl-C ends it and leaves nothing", async () => {
    await createRandomSnapshot(daemon.url, "large@s", 64);
    const whole = await fetch(`${daemon.url}/snapshots/download?id=large@s&estimate=1`);
    const estimate = Number(whole.headers.get("x-estimated-bytes"));
    const { byteLength } = await whole.arrayBuffer();
    expect(Math.abs(byteLength / estimate - 1)).toBeLessThan(0.05);
    expect(
      (await fetch(`${daemon.url}/snapshots/download?id=large@s`)).headers.get("x-estimated-bytes"),
    ).toBeNull();

    /** Between the command and the daemon: it passes on half of the stream, in two parts. */
    const slow = createServer((request, response) => {
      get(`${daemon.url}${request.url}`, { agent: false }, (reply) => {
        response.writeHead(reply.statusCode ?? 0, reply.headers);
        let passed = 0;
        reply.on("data", (piece: Buffer) => {
          const before = passed;
          passed += piece.length;
          response.write(piece);
          if (passed > byteLength / 2) reply.pause();
          else if (before <= byteLength / 4 && passed > byteLength / 4) {
            reply.pause();
            setTimeout(() => reply.resume(), 500);
          }
        });
        response.on("close", () => reply.destroy());
      });
    });
    await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      slow.closeAllConnections();
      slow.close();
    });
    const { port } = slow.address() as AddressInfo;
    const own = mkdtempSync(join(folder, "own-"));
    const env = { IMAGESTORE_URL: `http://127.0.0.1:${port}` };
    const download = start("snapshot download large@s", { cwd: own, env });
    await download.sees(/\[=+ +\] ~\d+ %, [\d.]+ MiB of ~64\.\d MiB, [\d.]+ [KM]iB\/s, ~[\d.]+ m?s left/);
    download.type("\x03");
    expect(await download.ended).toBe(130);
    expect(readdirSync(own)).toEqual([]);
    const isOver = async () => {
      const { jobs } = await must<{ jobs: unknown[] }>(daemon.url, "ListJobs", { state: "running" });
      return jobs.length === 0;
    };
    await until("the daemon sends no more", isOver);
    const again = start("snapshot download large@s", { cwd: own });
    expect(await again.ended).toBe(0);
    expect(statSync(join(own, "large@s.zfs")).size).toBe(byteLength);
  });
});
