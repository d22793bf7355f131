import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRandom } from "../faults/random.js";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call } from "../support/rpc.js";
import { transportNames } from "../support/transports.js";
import { makeRefused, REFUSED_MARK, refusedName } from "./bodies.js";

const SEED = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const REQUESTS = 2_000;
/** Requests under way at the same time. */
const CLIENTS = 16;

const standIn = (name: string) => fileURLToPath(new URL(`../../bench/fake/${name}`, import.meta.url));

describe.each(transportNames)(`names that are refused, by %s, seed ${SEED}`, (transport) => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-fuzz-"));
  const argvFile = join(folder, "argv");
  let daemon: DaemonProcess;

  beforeAll(async () => {
    writeFileSync(argvFile, "");
    // Stand-ins for zfs and zpool, which write down how they were called.
    const recorded = (name: string) => ["sh", "-c", 'echo "$*" >>"$0"; exec "$@"', argvFile, standIn(name)];
    daemon = await startDaemonProcess({
      listen: { port: 0, transport },
      pools: [
        { name: "bench", zfsCommand: recorded("zfs"), zpoolCommand: recorded("zpool"), deviceWaitMs: 0 },
      ],
      log: { level: "error" },
    });
  });
  afterAll(async () => {
    expect(daemon.log()).toBe("");
    expect(await daemon.stop()).toBe(0);
    rmSync(folder, { recursive: true, force: true });
  });

  const commandsWith = (word: string) =>
    readFileSync(argvFile, "utf8")
      .split("\n")
      .filter((line) => line.includes(word));

  test("get an error and start no process", async () => {
    const random = createRandom(SEED);
    const accepted: string[] = [];
    /** How many requests were made so far. */
    let made = 0;
    const work = async () => {
      while (made++ < REQUESTS) {
        const isDownload = random.chance(0.1);
        const { text } = makeRefused(random);
        const id = encodeURIComponent(JSON.parse(`"${refusedName(random)}@s"`) as string);
        const reply = isDownload
          ? await fetch(`${daemon.url}/snapshots/download?id=${id}`)
          : await fetch(`${daemon.url}/_mistify_RPC_`, { method: "POST", body: Buffer.from(text) });
        const answer = await reply.text();
        const isRefused = reply.status === (isDownload ? 400 : 200) && !answer.includes('"error":null');
        if (!isRefused) accepted.push(`${isDownload ? id : text}: ${reply.status} ${answer}`);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, work));
    expect(accepted).toEqual([]);
    expect(commandsWith(REFUSED_MARK)).toEqual([]);
  });

  test("are the only ones of which the commands know nothing", async () => {
    await call(daemon.url, "GetVolume", { id: "guests/fuzzgood" });
    expect(commandsWith("guests/fuzzgood")).not.toEqual([]);
  });
});
