import { afterAll, beforeAll, expect, test } from "vitest";
import { IMAGE_MIB, makeStream } from "./fixtures.js";
import { bytes, type ImageService, openImageService } from "./image-service.js";
import { conformance } from "./suite.js";

conformance("Images that are deleted while they have clones", "trash", (subject) => {
  const { server, target, pool, own } = subject;
  const id = `${own}-golden`;
  const type = `${own}-kvm`;
  let service: ImageService;

  beforeAll(async () => {
    service = await openImageService(target.imageServicePort);
    service.serve(id, bytes(await makeStream(subject)));
  });
  afterAll(() => service.close());

  const inTrash = async (page: object = {}) =>
    (await server.must("ListImages", { type, trash: true, ...page })).images ?? [];
  const clone = (name: string) => server.must("CloneImage", { id, dest: `${own}/${name}` });
  const toTrash = () => server.must("DeleteImage", { id, whenInUse: "trash" });

  test("an image goes from all lists at once, and from the pool with its last clone", async () => {
    await server.must("RequestImage", { id, type });
    await clone("a");
    await clone("b");
    for (const whenInUse of [undefined, "", "refuse"])
      expect(await server.refusal("DeleteImage", { id, whenInUse })).toContain(`clones: ${pool}/${own}/a, `);
    const { images } = await toTrash();
    expect(images).toMatchObject([{ id, volume: `${pool}/images/${id}`, status: "complete" }]);
    expect((await server.must("ListImages", { type })).images).toBeNull();
    for (const method of ["GetImage", "DeleteImage"] as const)
      expect(await server.refusal(method, { id })).toBe("not found");
    const [kept] = await inTrash();
    expect(kept).toEqual({ id, type, volume: kept?.volume, size: IMAGE_MIB, status: "trash" });
    const listed = async () => [
      ...(await server.must("ListVolumes", {})).volumes,
      ...(await server.must("ListSnapshots", {})).snapshots,
    ];
    expect((await listed()).filter((each) => each.id.includes("/images/"))).toEqual([]);
    expect(await server.refusal("GetVolume", { id: String(kept?.volume) })).toMatch(/^not a valid dataset/);
    await server.must("DeleteDataset", { id: `${own}/a` });
    expect(await inTrash()).toHaveLength(1);
    await server.must("DeleteDataset", { id: `${own}/b` });
    expect(await inTrash()).toEqual([]);
  });

  test("an id is free for another image, whose clones are its own; a page has all that had one id", async () => {
    for (const name of ["c", "d"]) {
      await server.must("RequestImage", { id, type });
      await clone(name);
      await toTrash();
    }
    await server.must("RequestImage", { id, type });
    expect(await inTrash({ limit: 1 })).toHaveLength(2);
    expect(await inTrash({ limit: 1, after: id })).toEqual([]);
    expect(await server.refusal("CloneImage", { id, dest: `${own}/c` })).toBe("dataset already exists");
    await server.must("DeleteDataset", { id: `${own}/c` });
    expect(await inTrash()).toHaveLength(1);
    await server.must("DeleteDataset", { id: `${own}/d` });
    expect(await inTrash()).toEqual([]);
    expect((await server.must("ListImages", { type })).images).toHaveLength(1);
  });

  test("without clones whenInUse makes no difference, and a dry run puts nothing into the trash", async () => {
    await clone("e");
    const tried = await server.must("DeleteImage", { id, whenInUse: "trash", dryRun: true });
    expect(tried).toMatchObject({ images: [{ id }], destroys: [] });
    expect(await server.failure("DeleteImage", { id, dryRun: true })).toMatchObject({
      data: { reason: "dataset.has_clones" },
    });
    expect(await inTrash()).toEqual([]);
    await server.must("DeleteDataset", { id: `${own}/e` });
    await toTrash();
    expect(await inTrash()).toEqual([]);
    expect(await server.failure("DeleteImage", { id, whenInUse: "burn" })).toMatchObject({
      data: { reason: "request.invalid", field: "whenInUse" },
    });
  });

  test("a clone is promoted that has its image in the trash, and the trash is empty then", async () => {
    await server.must("RequestImage", { id, type });
    await clone("heir");
    expect(await server.refusal("PromoteVolume", { id: `${own}/heir` })).toContain("is a clone of an image");
    await toTrash();
    await server.must("PromoteVolume", { id: `${own}/heir` });
    expect(await inTrash()).toEqual([]);
    const { snapshots } = await server.must("ListSnapshots", { id: `${own}/heir` });
    expect(snapshots).toMatchObject([{ id: `${pool}/${own}/heir@s` }]);
    await server.must("DeleteDataset", { id: `${own}/heir` });
  });

  test("an image comes back from the trash as it was, with its clones, and can go there again", async () => {
    await server.must("RequestImage", { id, type });
    await clone("f");
    const [before] = (await server.must("GetImage", { id })).images ?? [];
    expect(await server.failure("RestoreImage", { id })).toMatchObject({
      data: { reason: "image.not_found", object: `image ${id} in the trash` },
    });
    for (const round of ["first", "second"]) {
      await toTrash();
      const { images } = await server.must("RestoreImage", { id });
      expect(images, round).toEqual([before]);
      expect((await server.must("GetImage", { id })).images, round).toEqual([before]);
      expect(await inTrash(), round).toEqual([]);
    }
    await clone("g");
    const { volumes } = await server.must("ListVolumes", { origin: `images/${id}` });
    expect(volumes.map((each) => each.id)).toEqual([`${pool}/${own}/f`, `${pool}/${own}/g`]);
    for (const name of ["f", "g"]) await server.must("DeleteDataset", { id: `${own}/${name}` });
    expect((await server.must("ListImages", { type })).images).toHaveLength(1);
    await server.must("DeleteImage", { id });
  });

  test("one whose id is taken stays in the trash, and of several one is named", async () => {
    for (const name of ["h", "i"]) {
      await server.must("RequestImage", { id, type });
      await clone(name);
      await toTrash();
    }
    const [first, second] = await inTrash();
    expect(await server.failure("RestoreImage", { id })).toMatchObject({
      data: { reason: "request.invalid", field: "volume", wanted: `${first?.volume}, ${second?.volume}` },
    });
    expect(await server.failure("RestoreImage", { id, volume: `${pool}/images/other` })).toMatchObject({
      data: { reason: "request.invalid", field: "volume" },
    });
    await server.must("RestoreImage", { id, volume: String(first?.volume) });
    expect(await server.failure("RestoreImage", { id })).toMatchObject({
      message: expect.stringContaining("is there again: delete that one first"),
      data: { reason: "dataset.exists", object: `${pool}/images/${id}` },
    });
    expect(await inTrash()).toEqual([second]);
    expect(await server.refusal("RestoreImage", {})).toBe("need id");
    expect(await server.refusal("RestoreImage", { id: "a/b" })).toMatch(/^invalid id: /);
    for (const name of ["h", "i"]) await server.must("DeleteDataset", { id: `${own}/${name}` });
    expect(await inTrash()).toEqual([]);
    await server.must("DeleteImage", { id });
  });
});
