import { afterAll, beforeAll, expect, test } from "vitest";
import { IMAGE_MIB, makeStream } from "./fixtures.js";
import { bytes, type ImageService, openImageService } from "./image-service.js";
import { conformance } from "./suite.js";

conformance("Images and their clones", "images", (subject) => {
  const { server, target, pool, otherPool, own, deviceOf } = subject;
  const golden = `${own}-golden`;
  const spare = `${own}-spare`;
  let service: ImageService;

  const image = (id: string, type: string) => ({
    id,
    type,
    volume: `${pool}/images/${id}`,
    snapshot: `${pool}/images/${id}@s`,
    size: IMAGE_MIB,
    status: "complete",
  });
  const clone = (name: string) => ({
    id: `${pool}/${own}/${name}`,
    size: IMAGE_MIB,
    device: deviceOf(`${pool}/${own}/${name}`),
  });

  beforeAll(async () => {
    service = await openImageService(target.imageServicePort);
    const stream = await makeStream(subject);
    for (const id of [golden, spare]) service.serve(id, bytes(stream));
    await Promise.all([
      server.must("RequestImage", { id: golden, type: `${own}-kvm` }),
      server.must("RequestImage", { id: spare, type: `${own}-container` }),
    ]);
  });

  afterAll(() => service.close());

  test("an image on the wire has its members in order", async () => {
    const reply = await server.post(`{"method":"ImageStore.GetImage","params":[{"id":"${golden}"}],"id":1}`);
    const volume = `${pool}/images/${golden}`;
    expect(reply.text).toBe(
      `{"result":{"images":[{"id":"${golden}","type":"${own}-kvm","volume":"${volume}","snapshot":"${volume}@s","size":${IMAGE_MIB},"status":"complete"}]},"error":null,"id":1}\n`,
    );
  });

  test("ListImages lists all, or those of a type; none is null", async () => {
    const [all, containers] = await Promise.all([
      server.must("ListImages", {}),
      server.must("ListImages", { type: `${own}-container` }),
    ]);
    const both = [image(golden, `${own}-kvm`), image(spare, `${own}-container`)];
    expect(all.images).toEqual(expect.arrayContaining(both));
    expect(containers).toEqual({ images: [image(spare, `${own}-container`)] });
    const reply = await server.post(
      `{"method":"ImageStore.ListImages","params":[{"type":"${own}-none"}],"id":1}`,
    );
    expect(reply.text).toBe('{"result":{"images":null},"error":null,"id":1}\n');
  });

  test("an image that is not there is not found", async () => {
    const errors = await Promise.all([
      server.refusal("GetImage", {}),
      server.refusal("GetImage", { id: `${own}-no-such` }),
      server.refusal("GetImage", { id: golden, pool: otherPool }),
      server.refusal("DeleteImage", {}),
      server.refusal("DeleteImage", { id: `${own}-no-such` }),
      server.refusal("DeleteImage", { id: golden, pool: otherPool }),
      server.refusal("CloneImage", { id: `${own}-no-such`, dest: `${own}/clone` }),
      server.refusal("CloneImage", { dest: `${own}/clone` }),
    ]);
    expect(errors).toEqual(errors.map(() => "not found"));
  });

  test("CloneImage takes a relative or a full dest, makes its parents and can be repeated", async () => {
    expect(await server.refusal("CloneImage", { id: golden })).toBe("need dest");
    const [relative, full] = await Promise.all([
      server.must("CloneImage", { id: golden, dest: `${own}/clones/a` }),
      server.must("CloneImage", { id: golden, dest: `${pool}/${own}/others/b` }),
    ]);
    expect(relative).toEqual({ volumes: [clone("clones/a")] });
    expect(full).toEqual({ volumes: [clone("others/b")] });
    expect(await server.must("CloneImage", { id: golden, dest: `${own}/clones/a` })).toEqual(relative);
    expect(await server.must("GetVolume", { id: `${own}/clones/a` })).toEqual(relative);
  });

  test("CloneImage refuses a dest that is taken, below a volume, a snapshot, or in another pool", async () => {
    const [volume, filesystem, otherClone, below, snapshot, elsewhere] = await Promise.all([
      server.failure("CloneImage", { id: golden, dest: `${own}/source` }),
      server.failure("CloneImage", { id: golden, dest: own }),
      server.failure("CloneImage", { id: spare, dest: `${own}/clones/a` }),
      server.failure("CloneImage", { id: golden, dest: `${own}/source/below` }),
      server.failure("CloneImage", { id: golden, dest: `${own}/clone@s` }),
      server.failure("CloneImage", { id: golden, dest: `${otherPool}/${own}/clone` }),
    ]);
    for (const { message, data } of [volume, filesystem, otherClone]) {
      expect(message).toMatch(/^dataset already exists: .+ \(origin: found .+, wanted .+@s\)$/);
      expect(data).toMatchObject({ reason: "dataset.exists", errno: "EEXIST", retryable: false });
    }
    expect(below.data.reason).toBe("dataset.wrong_type");
    expect([snapshot.data.reason, elsewhere.data.reason]).toEqual(["name.invalid", "name.invalid"]);
    expect(await server.refusal("GetVolume", { id: `${own}/clone` })).toBe("not found");
  });

  test("an image with clones is not deleted: the error names them and nothing changes", async () => {
    const doomed = [
      await server.failure("DeleteImage", { id: golden }),
      await server.failure("DeleteSnapshot", { id: `images/${golden}@s` }),
      await server.failure("DeleteDataset", { id: `images/${golden}` }),
    ];
    for (const { message, data } of doomed) {
      expect(message).toContain(`${pool}/${own}/clones/a`);
      expect(message).toContain(`${pool}/${own}/others/b`);
      expect(data).toMatchObject({ reason: "dataset.has_clones", errno: "EBUSY", retryable: false });
    }
    const [kept, volume, snapshot] = await Promise.all([
      server.must("GetImage", { id: golden }),
      server.must("GetVolume", { id: `images/${golden}` }),
      server.must("GetSnapshot", { id: `images/${golden}@s` }),
    ]);
    expect(kept).toEqual({ images: [image(golden, `${own}-kvm`)] });
    expect(volume.volumes[0]?.size).toBe(IMAGE_MIB);
    expect(snapshot.snapshots[0]?.id).toBe(`${pool}/images/${golden}@s`);
  });

  test("a clone has snapshots of its own", async () => {
    const id = `${own}/clones/a`;
    await server.must("CreateSnapshot", { id, dest: "s" });
    const { snapshots } = await server.must("RollbackSnapshot", { id: `${id}@s` });
    expect(snapshots.map((each) => each.id)).toEqual([`${pool}/${id}@s`]);
  });

  test("without its clones an image is deleted: answer, record, volume, snapshot", async () => {
    await server.must("DeleteDataset", { id: `${own}/clones` });
    await server.must("DeleteDataset", { id: `${own}/others` });
    expect(await server.must("DeleteImage", { id: golden })).toEqual({
      images: [image(golden, `${own}-kvm`)],
    });
    const errors = await Promise.all([
      server.refusal("GetImage", { id: golden }),
      server.refusal("GetVolume", { id: `images/${golden}` }),
      server.refusal("ListSnapshots", { id: `images/${golden}` }),
      server.refusal("DeleteImage", { id: golden }),
    ]);
    expect(errors).toEqual(errors.map(() => "not found"));
  });

  test("an image whose volume is deleted is forgotten, and can be requested again", async () => {
    await server.must("DeleteDataset", { id: `images/${spare}` });
    expect(await server.refusal("GetImage", { id: spare })).toBe("not found");
    const again = await server.must("RequestImage", { id: spare, type: `${own}-container` });
    expect(again).toEqual({ images: [image(spare, `${own}-container`)] });
    expect(service.requests(spare)).toBe(2);
  });
});
