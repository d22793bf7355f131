import { beforeAll, expect, test } from "vitest";
import { conformance } from "./suite.js";

conformance("Pages of lists", "pages", ({ server, own, pool, otherPool }) => {
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
    for (const page of [{ limit: 0 }, { after: "" }, { limit: null, after: null }]) {
      expect(await server.must("ListSnapshots", { id: `${own}/v`, ...page })).toEqual(all);
    }
    for (const limit of [1_000, 2 ** 53]) {
      const { snapshots } = await server.must("ListSnapshots", { id: `${own}/v`, limit });
      expect(idsOf(snapshots)).toEqual(idsOf(all.snapshots).sort());
    }
  });

  test("after what is behind the last one is an empty list, as of no records", async () => {
    expect(await server.must("ListVolumes", { after: `${pool}/\u{ffff}` })).toEqual({ volumes: [] });
    expect(await server.must("ListSnapshots", { id: `${own}/v`, after: `${own}/w` })).toEqual({
      snapshots: [],
    });
    expect(await server.must("ListImages", { after: "\u{ffff}" })).toEqual({ images: null });
  });

  test("of one snapshot has it, or nothing", async () => {
    const id = `${own}/v@c`;
    const { snapshots } = await server.must("ListSnapshots", { id, limit: 1, after: `${own}/v@b` });
    expect(idsOf(snapshots)).toEqual([`${pool}/${id}`]);
    expect(await server.must("ListSnapshots", { id, after: id })).toEqual({ snapshots: [] });
  });

  test("after a name that is gone goes on behind its place", async () => {
    await server.must("CreateSnapshot", { id: `${own}/v`, dest: "bb" });
    const page = async () =>
      idsOf(
        (await server.must("ListSnapshots", { id: `${own}/v`, limit: 2, after: `${own}/v@bb` })).snapshots,
      );
    const before = await page();
    expect(before).toEqual(["c", "d"].map((name) => `${pool}/${own}/v@${name}`));
    await server.must("DeleteSnapshot", { id: `${own}/v@bb` });
    expect(await page()).toEqual(before);
  });

  test("after a relative name goes on behind the full one", async () => {
    const after = `${own}/c`;
    const relative = await server.must("ListVolumes", { limit: 2, after });
    expect(relative).toEqual(await server.must("ListVolumes", { limit: 2, after: `${pool}/${after}` }));
    expect(idsOf(relative.volumes)).toEqual(["d", "e"].map((name) => `${pool}/${own}/${name}`));
  });

  test.each([{ limit: -1 }, { limit: 1.5 }, { limit: "2" }, { limit: 2 ** 64 }, { after: 7 }])(
    "%j is refused",
    async (page) => {
      for (const method of ["ListVolumes", "ListSnapshots", "ListImages"] as const) {
        const error = await server.failure(method, page);
        expect(error.data.reason).toBe("request.malformed");
        expect(error.message).toContain(`.${Object.keys(page)[0]}: expected `);
      }
    },
  );

  test("after a name of another pool, or of none, is refused with its member", async () => {
    for (const after of [`${otherPool}/v`, "a/../b"]) {
      for (const request of [{ after }, { after, id: `${own}/v` }]) {
        const error = await server.failure("ListSnapshots", request);
        expect(error.data).toMatchObject({ reason: "name.invalid", field: "after" });
      }
    }
  });

  test("a change takes neither limit nor after", async () => {
    const error = await server.failure("CreateVolume", { id: `${own}/x`, size: 1, limit: 1 });
    expect(error.message).toContain("limit");
  });
});
