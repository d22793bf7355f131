import { expect, test } from "vitest";
import { conformance } from "./suite.js";

/** More than any pool under test holds: 100000 GiB. */
const TOO_LARGE_MIB = 100_000 * 1024;

conformance("Settings and tags of volumes", "volume-settings", ({ server, pool, own }) => {
  const create = (name: string, settings: object = {}, size = 8) =>
    server.must("CreateVolume", { id: `${own}/${name}`, size, ...settings });
  const propertiesOf = async (name: string) =>
    (await server.must("GetVolumeProperties", { id: `${own}/${name}` })).volumes[0]?.properties;
  const set = async (name: string, changes: object) =>
    (await server.must("SetVolume", { id: `${own}/${name}`, ...changes })).volumes[0]?.properties;
  const driver = async () => (await server.must("GetPool", { id: pool })).pools[0]?.driver;
  const tagged = async (tag: string, page: object = {}) =>
    (await server.must("ListVolumes", { tag, ...page })).volumes.map(({ id }) => id);

  test("a new volume is thick and may be written; other answers don't have its properties", async () => {
    const { volumes } = await create("plain");
    expect(Object.keys(volumes[0] ?? {})).toEqual(["id", "size", "device"]);
    expect(await propertiesOf("plain")).toMatchObject({
      ...{ sync: "standard", readonly: false, provisioning: "thick", tags: {} },
    });
  });

  test("CreateVolume takes a block size, thin and tags; a repeat is a success, with others it is refused", async () => {
    const settings = { volblocksize: 65_536, provisioning: "thin", tags: { owner: "ada", note: "a = b, ü" } };
    for (const _each of [1, 2]) await create("made", settings);
    expect(await propertiesOf("made")).toMatchObject(settings);
    for (const [other, words] of [
      [{ volblocksize: 8192 }, "volblocksize: found 65536, wanted 8192"],
      [{ provisioning: "thick" }, "provisioning: found thin, wanted thick"],
      [{ tags: { owner: "bob" } }, "tags.owner: found ada, wanted bob"],
      [{ tags: { more: "x" } }, "tags.more: found none, wanted x"],
    ] as const) {
      const { message, data } = await server.failure("CreateVolume", {
        id: `${own}/made`,
        size: 8,
        ...other,
      });
      expect(message).toBe(`dataset already exists: ${pool}/${own}/made (${words})`);
      expect(data.reason).toBe("dataset.exists");
    }
    expect(await propertiesOf("made")).toMatchObject(settings);
    await create("made");
  });

  test("a thin volume may be larger than what is free, and can't be made thick then", async () => {
    const { pools } = await server.must("GetPool", { id: pool });
    const size = (pools[0]?.available ?? 0) * 2;
    await create("thin", { provisioning: "thin" }, size);
    const { message, data } = await server.failure("SetVolume", { id: `${own}/thin`, provisioning: "thick" });
    expect(message).toMatch(
      /^no space left on device: .+ \(provisioning: found \d+ MiB free in pool .+, wanted \d+ MiB\)$/,
    );
    expect(data.reason).toBe("pool.no_space");
    expect(await propertiesOf("thin")).toMatchObject({ provisioning: "thin" });
    expect(await server.refusal("CreateVolume", { id: `${own}/thick`, size })).toBe(
      "no space left on device",
    );
    await server.must("DeleteDataset", { id: `${own}/thin` });
    expect(await server.refusal("CreateVolume", { id: `${own}/x`, size: TOO_LARGE_MIB })).toBe(
      "no space left on device",
    );
  });

  test("a thick volume gives its room away when it becomes thin, and gets it back", async () => {
    const available = async () => (await server.must("GetPool", { id: pool })).pools[0]?.available ?? 0;
    await create("switched", {}, 256);
    const before = await available();
    expect(await set("switched", { provisioning: "thin" })).toMatchObject({ provisioning: "thin" });
    expect(await available()).toBeGreaterThan(before + 200);
    expect(await set("switched", { provisioning: "thick" })).toMatchObject({ provisioning: "thick" });
    expect(await available()).toBeLessThan(before + 50);
    // It stays thick when it grows.
    await server.must("ResizeVolume", { id: `${own}/switched`, size: 512 });
    expect(await propertiesOf("switched")).toMatchObject({ provisioning: "thick" });
    expect(await available()).toBeLessThan(before - 200);
    await server.must("DeleteDataset", { id: `${own}/switched` });
  });

  test("a read-only volume keeps its size, until it may be written again", async () => {
    await create("frozen");
    expect(await set("frozen", { readonly: true })).toMatchObject({ readonly: true });
    const { data } = await server.failure("ResizeVolume", { id: `${own}/frozen`, size: 16 });
    expect(data).toMatchObject({ reason: "dataset.read_only", errno: "EROFS", retryable: false });
    expect(await set("frozen", { readonly: false })).toMatchObject({ readonly: false });
    await server.must("ResizeVolume", { id: `${own}/frozen`, size: 16 });
  });

  test("compression and sync are OpenZFS's; an embedded pool refuses them, and changes nothing", async () => {
    await create("tuned");
    const changes = { compression: "gzip-9", sync: "always", tags: { a: "b" } };
    if ((await driver()) === "openzfs") {
      expect(await set("tuned", changes)).toMatchObject(changes);
      expect(await propertiesOf("tuned")).toMatchObject(changes);
      return;
    }
    const { data } = await server.failure("SetVolume", { id: `${own}/tuned`, ...changes });
    expect(data).toMatchObject({ reason: "request.invalid" });
    expect(await propertiesOf("tuned")).toMatchObject({ compression: "off", tags: {} });
  });

  test("tags come, change and go, each for itself, and follow their volume", async () => {
    await create("tagged", { tags: { a: "1", b: "2" } });
    expect(await set("tagged", { tags: { b: "3", c: "x y" } })).toMatchObject({
      tags: { a: "1", b: "3", c: "x y" },
    });
    expect((await set("tagged", { tags: { a: "", none: "" } }))?.tags).toEqual({ b: "3", c: "x y" });
    await server.must("RenameVolume", { id: `${own}/tagged`, dest: `${own}/moved` });
    expect((await propertiesOf("moved"))?.tags).toEqual({ b: "3", c: "x y" });
    await server.must("CreateSnapshot", { id: `${own}/moved`, dest: "s" });
    await server.must("CloneSnapshot", { id: `${own}/moved@s`, dest: `${own}/clone` });
    expect((await propertiesOf("clone"))?.tags).toEqual({});
  });

  test("ListVolumes lists those with a tag, with a value too, and in pages", async () => {
    const names = ["l/a", "l/b", "l/c"].map((name) => `${pool}/${own}/${name}`);
    const tag = own;
    await create("l/a", { tags: { [tag]: "x" } });
    await create("l/b", { tags: { [tag]: "x=y" } });
    await create("l/c", { tags: { [tag]: "x" } });
    await create("l/d");
    expect((await tagged(tag)).sort()).toEqual(names);
    expect(await tagged(`${tag}=x=y`)).toEqual([names[1]]);
    expect(await tagged(`${tag}=x`, { limit: 1 })).toEqual([names[0]]);
    expect(await tagged(`${tag}=x`, { limit: 5, after: names[0] })).toEqual([names[2]]);
    expect(await tagged(`${tag}=`)).toEqual([]);
    await set("l/a", { tags: { [tag]: "" } });
    expect((await tagged(tag)).sort()).toEqual(names.slice(1));
  });

  test("SetVolume of what is no volume, or of nothing, is refused", async () => {
    await create("parent/v");
    const refused = (id: string) => server.refusal("SetVolume", { id, readonly: true });
    expect(await refused(`${own}/parent`)).toBe("not a volume");
    expect(await refused(`${own}/none`)).toBe("not found");
    expect(await refused(`${own}/parent/v@s`)).toBe("not a volume");
    expect(await server.refusal("SetVolume", { id: `${own}/parent/v` })).toBe("need a property to set");
    expect(await server.refusal("GetVolumeProperties", { id: own })).toBe("not a volume");
    expect(await server.refusal("GetVolumeProperties", { id: `${own}/none` })).toBe("not found");
  });
});
