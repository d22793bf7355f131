import { afterAll, beforeAll, expect, test } from "vitest";
import { IMAGE_MIB, makeStream } from "./fixtures.js";
import { bytes, type ImageService, openImageService } from "./image-service.js";
import { conformance } from "./suite.js";

/** 100000 GiB. */
const TOO_LARGE_MIB = 100_000 * 1024;

conformance("Guests' disks", "guests", (subject) => {
  const { server, target, pool, otherPool, own, deviceOf } = subject;
  const golden = `${own}-golden`;
  let service: ImageService;

  beforeAll(async () => {
    service = await openImageService(target.imageServicePort);
    service.serve(golden, bytes(await makeStream(subject)));
    await server.must("RequestImage", { id: golden });
  });

  afterAll(() => service.close());

  const guestId = (name: string) => `${own}-${name}`;
  const volumeOf = (guest: string, disk: number) => `${pool}/guests/${guest}/disk-${disk}`;
  const madeDisk = (guest: string, index: number, size: number, image = "") => ({
    bus: "",
    device: "",
    size,
    volume: volumeOf(guest, index),
    image,
    source: deviceOf(volumeOf(guest, index)),
  });

  /** What stands on the wire around `disks` and comes back, with a nic's empty members filled in. */
  const BEFORE = `"type":"kvm","image":"x","nics":[{"name":"eth0","network":"br0","model":"","mac":"00:11","address":"","netmask":"","gateway":"","vlans":[1,2]},{"network":"","model":"","address":"","netmask":"","gateway":"","vlans":null}]`;
  const AFTER = `"state":"running","memory":18446744073709551615,"cpu":4,"vnc":-1,"metadata":{"a":"é","b":"9007199254740993"}`;

  test("VerifyDisks fills in the sizes of image disks and hands the rest back as it was", async () => {
    const id = guestId("verified");
    const sent = `{"metadata":{"b":"9007199254740993", "a" : "\\u00e9"},"vnc":-1,"cpu":4,
      "memory":18446744073709551615,"state":"running","unknown":1,
      "disks":[{"image":"${golden}","device":"vda","bus":"virtio"},{"size":8,"volume":"v","source":"s","x":1}],
      "nics":[ {"MAC":"00:11","Name":"eth0","network":"br0","vlans":[1, 2],"speed":10}, {} ],"image":"x","type":"kvm","id":"${id}"}`;
    const reply = await server.post(
      `{"method":"ImageStore.VerifyDisks","params":[{"guest":${sent},"action":"verify","args":{"x":"y"}}],"id":1}`,
    );
    const disks = `[{"bus":"virtio","device":"vda","size":${IMAGE_MIB},"volume":"","image":"${golden}","source":""},{"bus":"","device":"","size":8,"volume":"v","image":"","source":"s"}]`;
    expect(reply.text).toBe(
      `{"result":{"guest":{"id":"${id}",${BEFORE},"disks":${disks},${AFTER}}},"error":null,"id":1}\n`,
    );
    expect(await server.refusal("GetVolume", { id: `guests/${id}` })).toBe("not found");
  });

  test("members of a guest that are empty are omitted", async () => {
    const empty = '"type":"","image":"","nics":[],"state":"","memory":0,"cpu":0,"vnc":0,"metadata":{}';
    const reply = await server.post(
      `{"method":"VerifyDisks","params":[{"guest":{"id":"g","disks":[{"size":1}],${empty}}}],"id":1}`,
    );
    expect(reply.text).toBe(
      '{"result":{"guest":{"id":"g","disks":[{"bus":"","device":"","size":1,"volume":"","image":"","source":""}]}},"error":null,"id":1}\n',
    );
  });

  test.each([
    ['"type":1', "guest.type: expected string, got 1"],
    ['"image":{}', "guest.image: expected string, got {}"],
    ['"nics":{}', "guest.nics: expected array, got {}"],
    ['"nics":["eth0"]', 'guest.nics[0]: expected object, got "eth0"'],
    ['"nics":[{},{"mac":7}]', "guest.nics[1].mac: expected string, got 7"],
    ['"nics":[{"vlans":["7"]}]', 'guest.nics[0].vlans[0]: expected signed 64-bit integer, got "7"'],
    ['"nics":[{"vlans":7}]', "guest.nics[0].vlans: expected array, got 7"],
    ['"state":true', "guest.state: expected string, got true"],
    ['"memory":-1', "guest.memory: expected unsigned 64-bit integer, got -1"],
    ['"memory":"1024"', 'guest.memory: expected unsigned 64-bit integer, got "1024"'],
    ['"cpu":1.5', "guest.cpu: expected unsigned 64-bit integer, got 1.5"],
    ['"vnc":9223372036854775808', "guest.vnc: expected signed 64-bit integer, got 9223372036854775808"],
    ['"metadata":[]', "guest.metadata: expected object, got []"],
    ['"metadata":{"a":"b","c":1}', 'guest.metadata["c"]: expected string, got 1'],
  ])("a guest with %s has a member of the wrong type", async (member, problem) => {
    const guest = `{"id":"g",${member},"disks":[{"size":1}]}`;
    const reply = await server.post(`{"method":"VerifyDisks","params":[{"guest":${guest}}],"id":1}`);
    expect([reply.status, reply.text]).toEqual([400, `GuestRequest.${problem}`]);
    const failure = await server.failure("VerifyDisks", { guest: JSON.parse(guest) });
    expect(failure.data.reason).toBe("request.malformed");
  });

  test("members of a guest that are null are absent", async () => {
    const nulls = '"type":null,"image":null,"nics":null,"state":null,"memory":null,"cpu":null,"vnc":null';
    const reply = await server.post(
      `{"method":"VerifyDisks","params":[{"guest":{"id":"g","disks":[{"size":1}],${nulls},"metadata":{"k":null}},"args":null}],"id":1}`,
    );
    expect(reply.text).toBe(
      '{"result":{"guest":{"id":"g","disks":[{"bus":"","device":"","size":1,"volume":"","image":"","source":""}],"metadata":{"k":""}}},"error":null,"id":1}\n',
    );
  });

  const invalid: [string, object][] = [
    ["no guest", {}],
    ["a null guest", { guest: null }],
    ["a guest without an id", { guest: { disks: [{ size: 1 }] } }],
    ["a guest without disks", { guest: { id: "g" } }],
    ["a guest with null disks", { guest: { id: "g", disks: null } }],
    ["a guest with an empty list of disks", { guest: { id: "g", disks: [] } }],
    ["a disk without image and size", { guest: { id: "g", disks: [{ size: 1 }, { bus: "ide" }] } }],
    ["a null disk", { guest: { id: "g", disks: [null] } }],
  ];
  test.each(invalid)("%s is an invalid argument", async (_title, params) => {
    for (const method of ["VerifyDisks", "CreateGuestDisks"] as const) {
      const error = await server.failure(method, params);
      expect(error.message).toMatch(/^invalid argument \(guest\S*: wanted .+\)$/);
      expect(error.data).toMatchObject({ reason: "request.invalid", errno: "EINVAL", retryable: false });
    }
  });

  test("DeleteGuestsDisks needs a guest with an id", async () => {
    for (const params of [{}, { guest: null }, { guest: {} }]) {
      expect(await server.refusal("DeleteGuestsDisks", params)).toBe("invalid argument");
    }
  });

  test("a disk of an image that is not there is not found", async () => {
    const guest = { id: guestId("imageless"), disks: [{ size: 1 }, { image: `${own}-no-such` }] };
    const errors = await Promise.all([
      server.refusal("VerifyDisks", { guest }),
      server.refusal("CreateGuestDisks", { guest }),
    ]);
    expect(errors).toEqual(["not found", "not found"]);
    expect(await server.refusal("GetVolume", { id: `guests/${guest.id}/disk-0` })).toBe("not found");
  });

  test.each([
    ["one disk", `[{"size":${TOO_LARGE_MIB}}]`],
    ["the sum of many", `[${Array.from({ length: 64 }, () => '{"size":65536}').join(",")}]`],
    ["a size that only bytes in 128 bits can count", '[{"size":18446744073709551615}]'],
    ["a second disk", `[{"size":1},{"size":${TOO_LARGE_MIB}}]`],
  ])("%s larger than the pool has room for is refused, and nothing is made", async (_title, disks) => {
    const id = guestId("too-large");
    const replies = await Promise.all(
      ["VerifyDisks", "CreateGuestDisks"].map((method) =>
        server.post(
          `{"jsonrpc":"2.0","method":"${method}","params":{"guest":{"id":"${id}","disks":${disks}}},"id":1}`,
        ),
      ),
    );
    for (const { text } of replies) {
      expect(JSON.parse(text)).toMatchObject({
        error: {
          message: expect.stringMatching(
            /^no space left on device.* \(guest\.disks\S*: found \d+ MiB.*, wanted .*\d+ MiB\)$/,
          ),
          data: { reason: "pool.no_space", errno: "ENOSPC", retryable: false },
        },
      });
    }
    expect(await server.refusal("GetVolume", { id: `guests/${id}` })).toBe("not found");
  });

  test("CreateGuestDisks makes clones and volumes; repeated, it keeps them and adds what is missing", async () => {
    const id = guestId("made");
    const disks = [{ image: golden, size: 1 }, { size: 8 }];
    const wanted = [madeDisk(id, 0, IMAGE_MIB, golden), madeDisk(id, 1, 8)];
    const made = await server.must("CreateGuestDisks", { guest: { id, disks } });
    expect(made).toEqual({ guest: { id, disks: wanted } });
    expect(await server.must("CreateGuestDisks", { guest: { id, disks } })).toEqual(made);

    await server.must("CreateSnapshot", { id: `guests/${id}/disk-1`, dest: "mine" });
    const more = await server.must("CreateGuestDisks", { guest: { id, disks: [...disks, { size: 4 }] } });
    expect(more).toEqual({ guest: { id, disks: [...wanted, madeDisk(id, 2, 4)] } });
    const volumes = await Promise.all(
      [0, 1, 2].map(
        async (index) =>
          (await server.must("GetVolume", { id: `guests/${id}/disk-${index}` })).volumes[0]?.size,
      ),
    );
    expect(volumes).toEqual([IMAGE_MIB, 8, 4]);
    const kept = await server.must("ListSnapshots", { id: `guests/${id}` });
    expect(kept.snapshots.map((snapshot) => snapshot.id)).toEqual([`${volumeOf(id, 1)}@mine`]);
    expect(await server.refusal("DeleteImage", { id: golden })).toContain(volumeOf(id, 0));
  });

  test("DeleteGuestsDisks removes a guest's disks with their snapshots, and no other's", async () => {
    const id = guestId("made");
    const neighbour = guestId("made-too");
    await server.must("CreateGuestDisks", { guest: { id: neighbour, disks: [{ size: 1 }] } });
    const reply = await server.post(
      `{"method":"ImageStore.DeleteGuestsDisks","params":[{"guest":{"id":"${id}","cpu":2,"disks":[{"size":8}]}}],"id":1}`,
    );
    expect(reply.text).toBe(`{"result":{"guest":{"id":"${id}","disks":[],"cpu":2}},"error":null,"id":1}\n`);
    expect(await server.refusal("ListSnapshots", { id: `guests/${id}` })).toBe("not found");
    expect((await server.must("GetVolume", { id: `guests/${neighbour}/disk-0` })).volumes).toHaveLength(1);
    const again = await server.must("DeleteGuestsDisks", { guest: { id } });
    expect(again).toEqual({ guest: { id, disks: [] } });
  });

  test("a guest may live in another pool", async () => {
    const guest = { id: guestId("elsewhere"), disks: [{ size: 1 }] };
    const made = await server.must("CreateGuestDisks", { guest, pool: otherPool });
    expect(made.guest.disks?.[0]?.volume).toBe(`${otherPool}/guests/${guest.id}/disk-0`);
    expect(await server.refusal("GetVolume", { id: `guests/${guest.id}/disk-0` })).toBe("not found");
    await server.must("DeleteGuestsDisks", { guest, pool: otherPool });
    const id = `${otherPool}/guests/${guest.id}/disk-0`;
    expect(await server.refusal("GetVolume", { id })).toBe("not found");
  });

  test("when one disk can't be made, none of the call stays", async () => {
    const id = guestId("half");
    // A filesystem with the name of the second disk.
    await server.must("CreateVolume", { id: `guests/${id}/disk-1/in-the-way`, size: 1 });
    const error = await server.refusal("CreateGuestDisks", {
      guest: { id, disks: [{ size: 1 }, { size: 1 }, { image: golden }] },
    });
    expect(error).not.toBe("");
    const [first, third, inTheWay] = await Promise.all([
      server.refusal("GetVolume", { id: `guests/${id}/disk-0` }),
      server.refusal("GetVolume", { id: `guests/${id}/disk-2` }),
      server.must("GetVolume", { id: `guests/${id}/disk-1/in-the-way` }),
    ]);
    expect([first, third]).toEqual(["not found", "not found"]);
    expect(inTheWay.volumes[0]?.size).toBe(1);
  });

  test("when disks can't be made at all, what is in their way stays", async () => {
    const id = guestId("blocked");
    await server.must("CreateVolume", { id: `guests/${id}`, size: 1 });
    const error = await server.failure("CreateGuestDisks", { guest: { id, disks: [{ size: 1 }] } });
    expect(error.data).toMatchObject({ reason: "dataset.wrong_type", errno: "EINVAL", retryable: false });
    expect((await server.must("GetVolume", { id: `guests/${id}` })).volumes[0]?.size).toBe(1);
    await server.must("DeleteDataset", { id: `guests/${id}` });
  });

  test("guests are made side by side from one image", async () => {
    const ids = [0, 1, 2].map((index) => guestId(`side-${index}`));
    const made = await Promise.all(
      ids.map((id) => server.must("CreateGuestDisks", { guest: { id, disks: [{ image: golden }] } })),
    );
    expect(made).toEqual(ids.map((id) => ({ guest: { id, disks: [madeDisk(id, 0, IMAGE_MIB, golden)] } })));
    await Promise.all(ids.map((id) => server.must("DeleteGuestsDisks", { guest: { id } })));
  });

  let fittingOnce: Promise<number> | undefined;
  /** A power of two: a disk of this size fits into the pool, two don't. */
  function sizeThatFitsOnce(): Promise<number> {
    fittingOnce ??= findSizeThatFitsOnce();
    return fittingOnce;
  }

  async function findSizeThatFitsOnce(): Promise<number> {
    let size = 128;
    const fits = async (mib: number) => {
      const guest = { id: guestId("sized"), disks: [{ size: mib }] };
      return (await server.call("VerifyDisks", { guest })).error === null;
    };
    while (size < TOO_LARGE_MIB && (await fits(size * 2))) size *= 2;
    return size;
  }

  test("a check promises no room: checks side by side all succeed", async () => {
    const size = await sizeThatFitsOnce();
    const checks = await Promise.all(
      ["a", "b", "c", "d"].map((name) =>
        server.call("VerifyDisks", { guest: { id: guestId(name), disks: [{ size }] } }),
      ),
    );
    expect(checks.map(({ error }) => error)).toEqual([null, null, null, null]);
  });

  test("a creation promises room: of two that don't fit together one is refused", async () => {
    const size = await sizeThatFitsOnce();
    const answers = await Promise.all(
      ["one", "two"].map((name) =>
        server.call("CreateGuestDisks", { guest: { id: guestId(name), disks: [{ size }] } }),
      ),
    );
    const errors = answers.map(({ error }) => error);
    expect(errors).toHaveLength(2);
    expect(errors).toContain(null);
    expect(errors).toContain("no space left on device");
    const ids = ["one", "two"].map((name) => `guests/${guestId(name)}/disk-0`);
    const found = await Promise.all(ids.map((id) => server.call("GetVolume", { id })));
    expect(found.map(({ error }) => error)).toEqual(
      errors.map((error) => (error === null ? null : "not found")),
    );
  });

  test("SnapshotGuest takes a snapshot of each disk, all or none, and answers them", async () => {
    const id = `${own}-snapped`;
    await server.must("CreateGuestDisks", { guest: { id, disks: [{ size: 8 }, { size: 16 }] } });
    const root = `${pool}/guests/${id}`;
    const all = [root, `${root}/disk-0`, `${root}/disk-1`].map((name) => `${name}@before`);
    const { snapshots } = await server.must("SnapshotGuest", { id, dest: "before" });
    expect(snapshots.map((each) => each.id).sort()).toEqual(all.toSorted());
    expect(await server.refusal("SnapshotGuest", { id, dest: "before" })).toBe("dataset already exists");
    await server.must("CreateSnapshot", { id: `guests/${id}/disk-1`, dest: "half" });
    expect(await server.refusal("SnapshotGuest", { id, dest: "half" })).toBe("dataset already exists");
    expect(await server.refusal("GetSnapshot", { id: `guests/${id}/disk-0@half` })).toBe("not found");
    await server.must("RollbackSnapshot", { id: `${all[1]}` });
    const refusals = [
      await server.refusal("SnapshotGuest", { id: `${own}-nobody`, dest: "s" }),
      await server.refusal("SnapshotGuest", { id, dest: "" }),
      await server.refusal("SnapshotGuest", { id, dest: "a b" }),
    ];
    expect(refusals).toEqual(["not found", "need a dest", "invalid snapshot dest"]);
  });
});
