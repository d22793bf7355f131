import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { DaemonProcess } from "./daemon.js";
import { call, must, type Volumes } from "./rpc.js";

interface Images {
  readonly images:
    | readonly { readonly id: string; readonly status: string; readonly volume?: string }[]
    | null;
}

/** A pool of which a daemon can be started, killed and looked at. Its image service has any image. */
export interface TrashPool {
  readonly name: string;
  /** For files of its own. */
  readonly folder: string;
  start(env?: NodeJS.ProcessEnv): Promise<DaemonProcess>;
}

/** The steps of a deletion into the trash, after each of which the daemon may be killed. */
export const STEPS_OF_DELETION = [
  "driver.mark.begin#1",
  "driver.mark.end#1",
  "driver.rename.begin#2",
  "driver.rename.end#2",
  "records.dropImage.begin#1",
  "records.dropImage.end#1",
] as const;

/** Those of the deletion of the last clone. The start looks at what is in the trash by the first destroy. */
export const STEPS_OF_LAST_CLONE = [
  "driver.destroy.begin#2",
  "driver.destroy.end#2",
  "driver.destroy.begin#3",
  "driver.destroy.end#3",
] as const;

/** Those of a restore from the trash. */
export const STEPS_OF_RESTORE = [
  "driver.rename.begin#3",
  "driver.rename.end#3",
  "records.putImage.begin#2",
  "records.putImage.end#2",
] as const;

const idsOf = ({ images }: Images) => (images ?? []).map(({ id }) => id).sort();

/** Starts a daemon that is killed at a step, lets it run `work`, and waits for its end. */
async function killedAt(
  { start, folder }: TrashPool,
  step: string,
  work: (url: string) => Promise<unknown>,
): Promise<void> {
  const trace = join(folder, "trace");
  for (const file of [trace, `${trace}.acted`]) rmSync(file, { force: true });
  const daemon = await start({ IMAGESTORE_TRACE: trace, IMAGESTORE_TRACE_FAULT: `actor.${step}:kill` });
  // Its connection is reset.
  await work(daemon.url).catch(() => {});
  expect(await daemon.exited, `killed at ${step}`).toBeNull();
}

/**
 * Kills the daemon at a step of a deletion into the trash, starts it again, and asks what a client and an operator see.
 * Leaves the pool without images and clones.
 */
export async function deleteKilledAt(pool: TrashPool, step: string): Promise<void> {
  const clone = { id: "golden", dest: "guests/a/disk-0" };
  await killedAt(pool, step, async (url) => {
    await must(url, "RequestImage", { id: "golden", type: "kvm" });
    await must(url, "CloneImage", clone);
    await must(url, "DeleteImage", { id: "golden", whenInUse: "trash" });
  });
  const daemon = await pool.start();
  const { url } = daemon;
  const list = async (params: object = {}) => idsOf(await must<Images>(url, "ListImages", params));
  const there = await list();
  // It is an image or in the trash, and not both.
  expect([...there, ...(await list({ trash: true }))], step).toEqual(["golden"]);
  const again = await call(url, "DeleteImage", { id: "golden", whenInUse: "trash" });
  expect(again.error, step).toBe(there.length > 0 ? null : "not found");
  // The id is free meanwhile, and the clone lives.
  await must(url, "RequestImage", { id: "golden", type: "kvm" });
  expect((await must<Volumes>(url, "ListVolumes", {})).volumes.map(({ id }) => id).sort()).toEqual([
    `${pool.name}/guests/a/disk-0`,
    `${pool.name}/images/golden`,
  ]);
  await must(url, "DeleteDataset", { id: "guests/a" });
  expect(await list({ trash: true }), step).toEqual([]);
  await must(url, "DeleteImage", { id: "golden" });
  await daemon.stop();
}

/** The same at a step of the deletion of the last clone: after the next start the trash is empty. */
export async function lastCloneKilledAt(pool: TrashPool, step: string): Promise<void> {
  const before = await pool.start();
  await must(before.url, "RequestImage", { id: "golden" });
  await must(before.url, "CloneImage", { id: "golden", dest: "guests/a/disk-0" });
  await must(before.url, "DeleteImage", { id: "golden", whenInUse: "trash" });
  await before.stop();
  await killedAt(pool, step, (url) => must(url, "DeleteDataset", { id: "guests/a/disk-0" }));
  const daemon = await pool.start();
  await call(daemon.url, "DeleteDataset", { id: "guests/a" });
  expect(idsOf(await must<Images>(daemon.url, "ListImages", { trash: true })), step).toEqual([]);
  expect((await must<Volumes>(daemon.url, "ListVolumes", {})).volumes, step).toEqual([]);
  await daemon.stop();
}

/**
 * Kills the daemon at a step of a restore from the trash: after the next start the image is there or in the trash, and can
 * be cloned in the end. Leaves the pool without images and clones.
 */
export async function restoreKilledAt(pool: TrashPool, step: string): Promise<void> {
  await killedAt(pool, step, async (url) => {
    await must(url, "RequestImage", { id: "golden", type: "kvm" });
    await must(url, "CloneImage", { id: "golden", dest: "guests/a/disk-0" });
    await must(url, "DeleteImage", { id: "golden", whenInUse: "trash" });
    await must(url, "RestoreImage", { id: "golden" });
  });
  const daemon = await pool.start();
  const { url } = daemon;
  const list = async (params: object = {}) => idsOf(await must<Images>(url, "ListImages", params));
  const there = await list();
  expect([...there, ...(await list({ trash: true }))], step).toEqual(["golden"]);
  const again = await call(url, "RestoreImage", { id: "golden" });
  expect(again.error, step).toBe(there.length > 0 ? "not found" : null);
  expect(await must<Images>(url, "GetImage", { id: "golden" }), step).toMatchObject({
    images: [{ type: "kvm", volume: `${pool.name}/images/golden`, status: "complete" }],
  });
  await must(url, "CloneImage", { id: "golden", dest: "guests/b/disk-0" });
  for (const id of ["guests/a", "guests/b"]) await must(url, "DeleteDataset", { id });
  // It is none of the trash any more, and stays without clones.
  expect([await list(), await list({ trash: true })], step).toEqual([["golden"], []]);
  await must(url, "DeleteImage", { id: "golden" });
  expect((await must<Volumes>(url, "ListVolumes", {})).volumes, step).toEqual([]);
  await daemon.stop();
}
