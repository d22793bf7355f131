import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytes, type ImageService, openImageService } from "../conformance/image-service.js";
import { freePort, startDaemonProcess } from "../support/daemon.js";
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

describe("a daemon that is killed", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-trash-"));
  let service: ImageService;
  let port = 0;
  const pool: TrashPool = {
    name: "tank",
    folder,
    start: (env = {}) =>
      startDaemonProcess(
        {
          ...{ listen: { port: 0 }, imageService: `127.0.0.1:${port}`, dataDir: join(folder, "data") },
          pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
        },
        env,
      ),
  };

  beforeAll(async () => {
    port = await freePort();
    service = await openImageService(port);
    const daemon = await pool.start();
    await must(daemon.url, "CreateVolume", { id: "seed", size: 8 });
    await must(daemon.url, "CreateSnapshot", { id: "seed", dest: "s" });
    const stream = await (await fetch(`${daemon.url}/snapshots/download?id=seed@s`)).arrayBuffer();
    service.serve("golden", bytes(Buffer.from(stream)));
    await must(daemon.url, "DeleteDataset", { id: "seed" });
    await daemon.stop();
  });
  afterAll(async () => {
    await service?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(STEPS_OF_DELETION)(
    "at %s of a deletion into the trash has the image, or has it there",
    async (step) => {
      await deleteKilledAt(pool, step);
      expect(readdirSync(join(folder, "tank", "volumes"))).toEqual([]);
    },
  );

  test.each(STEPS_OF_LAST_CLONE)(
    "at %s of the deletion of the last clone empties the trash at its start",
    async (step) => {
      await lastCloneKilledAt(pool, step);
      expect(readdirSync(join(folder, "tank", "volumes"))).toEqual([]);
    },
  );

  test.each(STEPS_OF_RESTORE)(
    "at %s of a restore from the trash has the image, or has it there, and it can be cloned in the end",
    async (step) => {
      await restoreKilledAt(pool, step);
      expect(readdirSync(join(folder, "tank", "volumes"))).toEqual([]);
    },
  );

  test("at the moment when the last clone goes has either the image or nothing", async () => {
    const daemon = await pool.start();
    const { url } = daemon;
    for (let round = 0; round < 10; round++) {
      await must(url, "RequestImage", { id: "golden", type: "kvm" });
      await must(url, "CloneImage", { id: "golden", dest: "guests/a/disk-0" });
      await must(url, "DeleteImage", { id: "golden", whenInUse: "trash" });
      const [restored] = await Promise.all([
        call<Images>(url, "RestoreImage", { id: "golden" }),
        must(url, "DeleteDataset", { id: "guests/a" }),
      ]);
      const listed = async (params: object) =>
        ((await must<Images>(url, "ListImages", params)).images ?? []).map(({ id }) => id);
      expect(await listed({ trash: true })).toEqual([]);
      expect(await listed({})).toEqual(restored.error === null ? ["golden"] : []);
      if (restored.error === null) await must(url, "DeleteImage", { id: "golden" });
      else expect(restored.error).toBe("not found");
    }
    await daemon.stop();
    expect(readdirSync(join(folder, "tank", "volumes"))).toEqual([]);
  });
});
