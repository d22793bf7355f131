import { beforeAll, expect, test } from "vitest";
import { conformance } from "./suite.js";

conformance("Quotas of guests", "quotas", ({ server, pool, own }) => {
  const id = `${own}-g`;
  const dataset = `${pool}/guests/${id}`;
  let isEmbedded = false;

  beforeAll(async () => {
    const { pools } = await server.must("GetPool", {});
    isEmbedded = pools.find(({ name }) => name === pool)?.driver === "embedded";
  });

  test("what can't be a guest or a quota is refused", async () => {
    for (const method of ["SetGuestQuota", "GetGuestQuota"] as const) {
      expect(await server.refusal(method, {})).toBe("need an id");
      expect(await server.refusal(method, { id: "a/b" })).toMatch(/^invalid id: /);
    }
    expect(await server.failure("SetGuestQuota", { id, quota: 2 ** 50 })).toMatchObject({
      data: { reason: "pool.no_space", field: "quota" },
    });
  });

  test("a quota is kept, told with what is used, changed and removed; an embedded pool has none", async () => {
    if (isEmbedded) {
      const { message, data } = await server.failure("SetGuestQuota", { id, quota: 64 });
      expect(message).toMatch(/^quota: an embedded pool has none for a guest, only quotaBytes for all of it/);
      expect(data.reason).toBe("request.invalid");
      const none = await server.must("SetGuestQuota", { id });
      expect(none.quotas).toEqual([{ id: dataset, quota: 0, used: 0 }]);
      expect(await server.must("GetGuestQuota", { id })).toEqual(none);
      expect((await server.must("ListVolumes", {})).volumes.filter((each) => each.id.includes(id))).toEqual(
        [],
      );
      return;
    }
    const set = async (quota: number) => (await server.must("SetGuestQuota", { id, quota })).quotas;
    // Before there is a disk.
    expect(await set(64)).toEqual([{ id: dataset, quota: 64, used: 0 }]);
    const guest = { id, disks: [{ size: 16 }] };
    await server.must("CreateGuestDisks", { guest });
    const [full] = await set(96);
    expect(full).toMatchObject({ quota: 96 });
    expect((await server.must("GetGuestQuota", { id })).quotas).toEqual([full]);
    expect(full?.used).toBeGreaterThanOrEqual(16);
    const refused = await server.failure("SetGuestQuota", { id, quota: 8 });
    expect(refused.message).toMatch(
      /^quota: the guest takes more: .* \(quota: found \d+ MiB, wanted 8 MiB\)$/,
    );
    expect(refused.data.reason).toBe("request.invalid");
    const large = { id, disks: [{ size: 16 }, { size: 128 }] };
    expect(await server.failure("CreateGuestDisks", { guest: large })).toMatchObject({
      data: { reason: "pool.no_space" },
    });
    for (const _ of [1, 2]) expect(await set(0)).toMatchObject([{ id: dataset, quota: 0 }]);
    await server.must("CreateGuestDisks", { guest: large });
    await server.must("DeleteGuestsDisks", { guest: { id } });
    expect(await set(0)).toEqual([{ id: dataset, quota: 0, used: 0 }]);
  });
});
