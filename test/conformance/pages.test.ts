import { beforeAll, expect, test } from "vitest";
import { conformance } from "./suite.js";

conformance("Pages of lists", "pages", ({ server, own }) => {
  const NAMES = ["b", "a", "d", "c", "e"];

  beforeAll(async () => {
    await server.must("CreateVolume", { id: `${own}/v`, size: 1 });
    for (const name of NAMES) {
      await server.must("CreateVolume", { id: `${own}/${name}`, size: 1 });
      await server.must("CreateSnapshot", { id: `${own}/v`, dest: name });
    }
  });

  /** All pages of `limit`, one after another. `page` gives the ids that come after an id. */
  async function joined(limit: number, page: (after: string) => Promise<string[]>): Promise<string[]> {
    const ids: string[] = [];
    for (;;) {
      const more = await page(ids.at(-1) ?? "");
      expect(more.length).toBeLessThanOrEqual(limit);
      ids.push(...more);
      if (more.length < limit) return ids;
    }
  }
  const idsOf = (records: readonly { readonly id: string }[]) => records.map(({ id }) => id);

  test.each([1, 2, 3, 5, 100])(
    "of %i, one after another, are the whole list in the order of the ids",
    async (limit) => {
      const { volumes } = await server.must("ListVolumes", {});
      const { snapshots } = await server.must("ListSnapshots", { id: `${own}/v` });
      const volumesAfter = async (after: string) =>
        idsOf((await server.must("ListVolumes", { limit, after })).volumes);
      const snapshotsAfter = async (after: string) =>
        idsOf((await server.must("ListSnapshots", { id: `${own}/v`, limit, after })).snapshots);
      expect(await joined(limit, volumesAfter)).toEqual(idsOf(volumes).sort());
      expect(await joined(limit, snapshotsAfter)).toEqual(idsOf(snapshots).sort());
    },
  );

  test("limit 0, null and absent members are the whole list as it always was", async () => {
    const all = await server.must("ListSnapshots", { id: `${own}/v` });
    for (const page of [{ limit: 0 }, { after: "" }, { limit: null, after: null }, { limit: 1_000 }]) {
      const { snapshots } = await server.must("ListSnapshots", { id: `${own}/v`, ...page });
      expect(snapshots.map(({ id }) => id).sort()).toEqual(all.snapshots.map(({ id }) => id).sort());
    }
  });

  test("after what is behind the last one is an empty list, as of no records", async () => {
    expect(await server.must("ListVolumes", { after: "\u{ffff}" })).toEqual({ volumes: [] });
    expect(await server.must("ListImages", { after: "\u{ffff}" })).toEqual({ images: null });
  });

  test.each([{ limit: -1 }, { limit: 1.5 }, { limit: "2" }, { after: 7 }])("%j is refused", async (page) => {
    const error = await server.failure("ListVolumes", page);
    expect(error.data.reason).toBe("request.malformed");
    expect(error.message).toContain(Object.keys(page)[0] ?? "");
  });

  test("a change takes neither limit nor after", async () => {
    const error = await server.failure("CreateVolume", { id: `${own}/x`, size: 1, limit: 1 });
    expect(error.message).toContain("limit");
  });
});
