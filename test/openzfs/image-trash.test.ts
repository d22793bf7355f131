import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { freePort, startDaemonProcess, vmPool } from "../support/daemon.js";
import { call, type Images, must } from "../support/rpc.js";
import {
  deleteKilledAt,
  lastCloneKilledAt,
  restoreKilledAt,
  STEPS_OF_DELETION,
  STEPS_OF_LAST_CLONE,
  STEPS_OF_RESTORE,
  type TrashPool,
} from "../support/trash-cases.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "trash";

describe.skipIf("skip" in vm)("images with clones that are deleted", () => {
  const running = vm as Vm;
  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  const below = (root: string) => zfs("list", "-Hr", "-t", "all", "-o", "name", `${POOL}/${root}`);
  const folder = mkdtempSync(join(tmpdir(), "imagestore-trash-"));
  let service: ImageService;
  let port = 0;
  const pool: TrashPool = {
    name: POOL,
    folder,
    start: (env = {}) =>
      startDaemonProcess(
        {
          ...{ listen: { port: 0 }, imageService: `127.0.0.1:${port}`, dataDir: join(folder, "data") },
          ...{ pools: [vmPool(running, POOL)], timeouts: { imageLookMs: 1_000 } },
        },
        { ...env, OPENZFS_VM_RUN: running.run },
      ),
  };

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdj");
    port = await freePort();
    service = await openImageService(port);
    zfs("create", "-V", "8M", `${POOL}/seed`);
    zfs("snapshot", `${POOL}/seed@s`);
    const text = vmExec(running, ["sh", "-c", `zfs send ${POOL}/seed@s | base64`]);
    service.serve("golden", bytes(Buffer.from(text, "base64")));
    zfs("destroy", "-r", `${POOL}/seed`);
  });
  afterAll(async () => {
    await service?.close();
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  test("wait under a name of the trash; by hand, a destroyed or promoted clone ends that too", async () => {
    const daemon = await pool.start();
    const { url } = daemon;
    const inTrash = async () => (await must<Images>(url, "ListImages", { trash: true })).images ?? [];
    for (const how of ["destroyed", "promoted by hand", "promoted"]) {
      await must(url, "RequestImage", { id: "golden" });
      await must(url, "CloneImage", { id: "golden", dest: "guests/a" });
      expect((await call(url, "DeleteImage", { id: "golden" })).error).toContain(`clones: ${POOL}/guests/a`);
      await must(url, "DeleteImage", { id: "golden", whenInUse: "trash" });
      expect((await must<Images>(url, "ListImages", {})).images).toBeNull();
      const [image] = await inTrash();
      expect(image).toMatchObject({ id: "golden", status: "trash" });
      expect(zfs("get", "-H", "-o", "value", "imagestore:trash", String(image?.volume))).toBe("golden\n");
      if (how === "destroyed") zfs("destroy", `${POOL}/guests/a`);
      else if (how === "promoted") await must(url, "PromoteVolume", { id: "guests/a" });
      else zfs("promote", `${POOL}/guests/a`);
      await until("the trash is empty", async () => (await inTrash()).length === 0);
      expect(below("images"), how).toBe(`${POOL}/images\n`);
      await call(url, "DeleteDataset", { id: "guests/a" });
      expect(below("guests"), how).toBe(`${POOL}/guests\n`);
    }
    await daemon.stop();
  });

  test("what has a name of the trash without a mark, or a mark without the name, is nobody's to destroy", async () => {
    zfs("create", "-V", "8M", `${POOL}/images/.trash-1`);
    zfs("create", "-V", "8M", "-o", "imagestore:trash=kept", `${POOL}/images/kept`);
    zfs("snapshot", `${POOL}/images/kept@s`);
    const daemon = await pool.start();
    expect((await must<Images>(daemon.url, "ListImages", { trash: true })).images).toBeNull();
    expect((await must<Images>(daemon.url, "GetImage", { id: "kept" })).images).toHaveLength(1);
    expect(below("images")).toContain(`${POOL}/images/.trash-1\n`);
    await must(daemon.url, "DeleteImage", { id: "kept" });
    await daemon.stop();
    zfs("destroy", `${POOL}/images/.trash-1`);
  });

  test.for(STEPS_OF_DELETION)(
    "a daemon that is killed at %s has the image, or has it in the trash",
    async (step) => {
      await deleteKilledAt(pool, step);
      expect(below("images")).toBe(`${POOL}/images\n`);
    },
  );

  test.for(STEPS_OF_LAST_CLONE)("one that is killed at %s empties the trash at its start", async (step) => {
    await lastCloneKilledAt(pool, step);
    expect(below("images")).toBe(`${POOL}/images\n`);
  });

  test.for(STEPS_OF_RESTORE)(
    "one that is killed at %s of a restore has the image, or has it in the trash",
    async (step) => {
      await restoreKilledAt(pool, step);
      expect(below("images")).toBe(`${POOL}/images\n`);
    },
  );
});
