import { randomBytes } from "node:crypto";
import { afterAll, describe, inject, test } from "vitest";
import type { Target } from "../support/target.js";
import { createServer, type Server } from "./client.js";

/** What a file of the suite works with. */
export interface Subject {
  readonly target: Target;
  readonly server: Server;
  /** The default pool, and another. */
  readonly pool: string;
  readonly otherPool: string;
  /** The device of a volume, by its full name. */
  deviceOf(volume: string): string;
  /** Begins every dataset, image and guest of this file; one component, new in each run. */
  readonly own: string;
}

/**
 * Describes a part of the contract against the server under test; skipped, with the
 * reason in its title, when there is none. After its tests everything that begins
 * with `own` is removed; what can't be removed fails the file.
 */
export function conformance(title: string, file: string, define: (subject: Subject) => void): void {
  const target = inject("target");
  if ("skip" in target) {
    describe.skip(`${title} (skipped: ${target.skip})`, () => {
      test("needs a server under test", () => {});
    });
    return;
  }
  const [pool, otherPool] = target.pools;
  const own = `${file}-${randomBytes(4).toString("hex")}`;
  const deviceOf = (volume: string) => {
    const [devices, others] = target.devices;
    return `${volume.startsWith(`${pool}/`) ? devices : others}/${volume}`;
  };
  const subject = {
    target,
    server: createServer(target.url, target.headers),
    pool,
    otherPool,
    own,
    deviceOf,
  };
  describe(title, () => {
    afterAll(() => removeOwn(subject));
    define(subject);
  });
}

async function removeOwn({ server, target, own }: Subject): Promise<void> {
  for (const pool of target.pools) {
    const { volumes } = await server.must("ListVolumes", { pool });
    const guests = new Set(
      volumes.flatMap(({ id }) => {
        const [, parent, name = ""] = id.split("/");
        return parent === "guests" && name.startsWith(own) ? name : [];
      }),
    );
    await Promise.all([...guests].map((id) => server.must("DeleteGuestsDisks", { pool, guest: { id } })));
    await server.call("DeleteDataset", { pool, id: own });
    const { images } = await server.must("ListImages", { pool });
    const ownImages = (images ?? []).filter(({ id }) => id.startsWith(own));
    await Promise.all(ownImages.map(({ id }) => server.must("DeleteImage", { pool, id })));
    const left = (await server.must("ListVolumes", { pool })).volumes.filter(({ id }) => id.includes(own));
    if (left.length > 0) throw new Error(`left behind: ${left.map(({ id }) => id).join(", ")}`);
  }
}
