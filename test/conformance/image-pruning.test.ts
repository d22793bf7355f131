import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.js";
import { makeStream } from "./fixtures.js";
import { bytes, type ImageService, openImageService } from "./image-service.js";
import { conformance } from "./suite.js";

conformance("Images that nobody uses", "pruning", (subject) => {
  const { server, target, pool, own } = subject;
  const type = `${own}-kvm`;
  const [cloned, idle, other] = [`${own}-cloned`, `${own}-idle`, `${own}-other`];
  let service: ImageService;

  beforeAll(async () => {
    service = await openImageService(target.imageServicePort);
    const stream = await makeStream(subject);
    for (const id of [cloned, idle, other]) service.serve(id, bytes(stream));
    for (const id of [cloned, idle]) await server.must("RequestImage", { id, type });
    await server.must("RequestImage", { id: other, type: `${own}-container` });
    await server.must("CloneImage", { id: cloned, dest: `${own}/clone` });
  });
  afterAll(() => service.close());

  const prune = async (params: object) =>
    (await server.must("PruneImages", { type, ...params })).images.map(({ id }) => id);

  test("without a limit nothing is pruned", async () => {
    expect(await server.failure("PruneImages", { type })).toMatchObject({
      data: { reason: "request.missing_field", field: "olderThanSeconds" },
    });
    expect(await server.refusal("PruneImages", { olderThanSeconds: 0, unusedForSeconds: 0 })).toBe(
      "need olderThanSeconds or unusedForSeconds",
    );
  });

  test("an image that is used is not unused, and a dry run tells what would go", async () => {
    const soon = { olderThanSeconds: 1, dryRun: true };
    await until("the images are a second old", async () => (await prune(soon)).includes(idle));
    const tried = await server.must("PruneImages", { type, ...soon });
    const doomed = (tried as unknown as { destroys: { id: string }[] }).destroys.map(({ id }) => id).sort();
    expect(tried.images.map(({ id }) => id)).toEqual([idle]);
    expect(doomed).toEqual([`${pool}/images/${idle}`, `${pool}/images/${idle}@s`]);
    expect(await prune({ olderThanSeconds: 1_000_000 })).toEqual([]);
    await until("it was not used for 2 s", async () =>
      (await prune({ unusedForSeconds: 2, dryRun: true })).includes(idle),
    );
    await server.must("RequestImage", { id: idle });
    expect(await prune({ unusedForSeconds: 1_000 })).toEqual([]);
    expect((await server.must("GetImage", { id: idle })).images).toHaveLength(1);
  });

  test("images that are due are deleted, but for those with clones and of another type", async () => {
    await until("it is due", async () => (await prune({ olderThanSeconds: 1, dryRun: true })).includes(idle));
    expect(await prune({ olderThanSeconds: 1 })).toEqual([idle]);
    expect(await server.refusal("GetImage", { id: idle })).toBe("not found");
    for (const id of [cloned, other]) await server.must("GetImage", { id });
    const reply = await server.post(
      `{"method":"ImageStore.PruneImages","params":[{"type":"${own}-none","olderThanSeconds":1}],"id":1}`,
    );
    expect(reply.text).toBe('{"result":{"images":[]},"error":null,"id":1}\n');
    await server.must("DeleteDataset", { id: `${own}/clone` });
    expect(await prune({ olderThanSeconds: 1 })).toEqual([cloned]);
  });
});
