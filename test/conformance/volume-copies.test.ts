import { beforeAll, expect, test } from "vitest";
import { IMAGE_MIB, makeStreamWithData, noise } from "./fixtures.js";
import { bytes, openImageService } from "./image-service.js";
import { conformance } from "./suite.js";

const DATA_BYTES = 4 * 1024 * 1024;
const LOOK_EACH = 64 * 1024;
const LOOK_BYTES = 512;

conformance("Copies of volumes", "copies", (subject) => {
  const { server, target, pool, own, deviceOf } = subject;
  const full = (name: string) => `${pool}/${own}/${name}`;
  const source = `${own}/made`;

  /** Whether each block of the noise is in the stream of a volume. */
  async function hasNoise(id: string): Promise<boolean> {
    await server.must("CreateSnapshot", { id, dest: "look" });
    const stream = await server.download(`${id}@look`);
    await server.must("DeleteSnapshot", { id: `${id}@look` });
    const data = noise(DATA_BYTES);
    const offsets = Array.from({ length: DATA_BYTES / LOOK_EACH }, (_, index) => index * LOOK_EACH);
    return offsets.every((at) => stream.includes(data.subarray(at, at + LOOK_BYTES)));
  }

  beforeAll(async () => {
    const service = await openImageService(target.imageServicePort);
    const stream = await makeStreamWithData(subject, DATA_BYTES);
    service.serve(`${own}-golden`, bytes(stream));
    await server.must("RequestImage", { id: `${own}-golden` });
    await server.must("CloneImage", { id: `${own}-golden`, dest: source });
    await service.close();
  });

  const snapshots = async () =>
    (await server.must("ListSnapshots", { id: own })).snapshots.map(({ id }) => id);

  test("a copy has the data and the size of its volume, no origin, and leaves no snapshot", async () => {
    const answered = await server.must("CopyVolume", { id: source, dest: `${own}/copy` });
    expect(answered.volumes).toEqual([{ id: full("copy"), size: IMAGE_MIB, device: deviceOf(full("copy")) }]);
    expect((await snapshots()).filter((id) => id.includes("copy"))).toEqual([]);
    for (const id of [source, `${own}/copy`]) expect(await hasNoise(id), id).toBe(true);
    const { volumes } = await server.must("ListVolumes", { origin: `images/${own}-golden` });
    expect(volumes.map(({ id }) => id)).toEqual([full("made")]);
    await server.must("DeleteDataset", { id: `${own}/copy` });
  });

  test("a copy has the settings and tags of its source, and can be written", async () => {
    const id = `${own}/set`;
    await server.must("CreateVolume", {
      ...{ id, size: 8, volblocksize: 8192, provisioning: "thin", tags: { owner: "ada" } },
    });
    await server.must("SetVolume", { id, readonly: true });
    await server.must("CreateSnapshot", { id, dest: "s" });
    await server.must("CopyVolume", { id: `${id}@s`, dest: `${own}/deep/er/copy` });
    const settingsOf = async (name: string) =>
      (await server.must("GetVolumeProperties", { id: name })).volumes[0]?.properties;
    const before = await settingsOf(id);
    expect(await settingsOf(`${own}/deep/er/copy`)).toEqual({ ...before, readonly: false });
    // Neither needs the other.
    await server.must("DeleteDataset", { id });
    await server.must("ResizeVolume", { id: `${own}/deep/er/copy`, size: 16 });
    await server.must("DeleteDataset", { id: `${own}/deep` });
  });

  test("what can't be copied, or not there, is refused and leaves nothing", async () => {
    const refused = async (params: object) => (await server.failure("CopyVolume", params)).data.reason;
    expect(await server.refusal("CopyVolume", { dest: `${own}/x` })).toBe("need an id");
    expect(await server.refusal("CopyVolume", { id: source })).toBe("need dest");
    expect(await server.refusal("CopyVolume", { id: `${own}/none`, dest: `${own}/x` })).toBe("not found");
    expect(await server.refusal("CopyVolume", { id: own, dest: `${own}/x` })).toBe("not a volume");
    expect(await server.refusal("CopyVolume", { id: source, dest: source })).toBe("dataset already exists");
    expect(await refused({ id: source, dest: "images/x" })).toBe("dataset.protected");
    expect(await refused({ id: source, dest: `${source}/x` })).toBe("dataset.wrong_type");
    expect(await refused({ id: source, dest: `${own}/x@s` })).toBe("name.invalid");
    const { volumes } = await server.must("ListVolumes", {});
    expect(volumes.filter(({ id }) => id.startsWith(`${pool}/${own}/`)).map(({ id }) => id)).toEqual([
      full("made"),
      full("source"),
    ]);
    expect(await snapshots()).toEqual([full("source@s")]);
  });
});
