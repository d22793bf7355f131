import { randomBytes, randomInt } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CuttingProxy, startCuttingProxy } from "../support/cutting-proxy.js";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { call20, sha256 } from "../support/pull-cases.js";
import { must, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";

const MIB = 1024 * 1024;
/** More by PULL_KILLS. */
const ROUNDS = Number(process.env.PULL_KILLS ?? 10);
const ID = "guests/g/disk";
const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));

type Node = "source" | "target";

const daemons = new Map<Node, DaemonProcess>();
const ports = new Map<Node, number>();
let proxy: CuttingProxy;

async function start(node: Node): Promise<void> {
  const daemon = await startDaemonProcess({
    listen: { port: ports.get(node) },
    pools: [{ name: node, driver: "embedded", folder: join(folder, node, "pool") }],
    dataDir: join(folder, node, "data"),
    peers: { other: { url: proxy.url } },
  });
  daemons.set(node, daemon);
}

const of = (node: Node): DaemonProcess => {
  const daemon = daemons.get(node);
  if (!daemon) throw new Error(`${node} does not run`);
  return daemon;
};

beforeAll(async () => {
  ports.set("source", await freePort());
  ports.set("target", await freePort());
  proxy = await startCuttingProxy(ports.get("source") ?? 0);
  await start("source");
  await start("target");
});
afterAll(async () => {
  for (const daemon of daemons.values()) await daemon.stop();
  await proxy.close();
  rmSync(folder, { recursive: true, force: true });
});

async function deviceOf(node: Node, id: string): Promise<string> {
  const { volumes } = await must<Volumes>(of(node).url, "GetVolume", { id });
  return volumes[0]?.device ?? "";
}

async function change(tag: string): Promise<string> {
  const device = await deviceOf("source", ID);
  await using file = await open(device, "r+");
  await file.write(randomBytes(2 * MIB), 0, 2 * MIB, randomInt(0, 14) * MIB);
  await file.sync();
  await must(of("source").url, "CreateSnapshot", { id: ID, dest: tag });
  return sha256(await readFile(device));
}

async function kill(node: Node): Promise<void> {
  const { pid, exited } = of(node);
  process.kill(pid, "SIGKILL");
  await exited;
  await start(node);
}

function killChild(node: Node): void {
  for (const pid of descendantsOf(of(node).pid, "-process")) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

const FAULTS: Readonly<Record<string, () => Promise<void> | void>> = {
  "the target is killed": () => kill("target"),
  "the source is killed": () => kill("source"),
  "children of the target are killed": () => killChild("target"),
  "children of the source are killed": () => killChild("source"),
  "the connection is cut": () => {
    proxy.cutAfter = randomInt(200, 3 * MIB);
  },
};

const pullOnce = () => call20(of("target"), "PullVolume", { id: ID, peer: "other", source: ID });

interface Pulled {
  readonly pulled: { readonly full: boolean; readonly snapshot: string };
}

test(`after ${ROUNDS} faults in the midst of pulls every copy is whole, none came anew, and nothing is left`, {
  timeout: 60_000 + ROUNDS * 20_000,
}, async () => {
  await must(of("source").url, "CreateVolume", { id: ID, size: 16 });
  const first = await change("s0");
  expect((await pullOnce()).error).toBeUndefined();
  expect(sha256(await readFile(await deviceOf("target", ID)))).toBe(first);
  const kinds = Object.keys(FAULTS);
  for (let round = 1; round <= ROUNDS; round++) {
    const kind = kinds[round % kinds.length] ?? "";
    const delayMs = randomInt(0, 700);
    const what = `round ${round}: ${kind} after ${delayMs} ms`;
    const wanted = await change(`s${round}`);
    // The answer of one whose daemon is killed never comes.
    const broken = pullOnce().catch(() => undefined);
    await sleep(delayMs);
    await FAULTS[kind]?.();
    await broken;
    proxy.cutAfter = undefined;
    let pulled: Pulled["pulled"] | undefined;
    await until(
      `${what}: a pull`,
      async () => {
        const { error, result } = await pullOnce();
        if (
          error &&
          !/^(?:peer\.unreachable|stream\.cut_short|pool\.unavailable|service\.)/.test(error.data.reason)
        ) {
          throw new Error(`${what}: ${error.data.reason}: ${error.message}`);
        }
        pulled = (result as Pulled | undefined)?.pulled;
        return pulled !== undefined;
      },
      30_000,
    );
    expect(pulled, what).toMatchObject({ full: false, snapshot: `target/${ID}@s${round}` });
    expect(sha256(await readFile(await deviceOf("target", ID))), what).toBe(wanted);
    const { bookmarks } = await must<{ bookmarks: readonly unknown[] }>(of("source").url, "ListBookmarks", {
      id: ID,
    });
    expect(bookmarks, what).toHaveLength(1);
    // The bookmark is enough for the next one. A hold of a download that was killed would keep it.
    await until(
      `${what}: the snapshot is free`,
      async () =>
        (await call20(of("source"), "DeleteSnapshot", { id: `${ID}@s${round - 1}` })).error === undefined,
      20_000,
    );
  }
  await until(
    "nothing is left",
    () => readdirSync(join(folder, "target", "pool", "incoming")).length === 0,
    10_000,
  );
  const { snapshots } = await must<{ snapshots: readonly unknown[] }>(of("target").url, "ListSnapshots", {
    id: ID,
  });
  expect(snapshots).toHaveLength(ROUNDS + 1);
});
