import { expect, test } from "vitest";
import { until } from "../support/until.js";
import type { Pool } from "./client.js";
import { conformance } from "./suite.js";

conformance("Pools", "pools", ({ server, pool, otherPool, own }) => {
  async function getPool(name: string): Promise<Pool> {
    const { pools } = await server.must("GetPool", { id: name });
    const [found, ...more] = pools;
    if (!found || more.length > 0) throw new Error(`${pools.length} pools for ${name}`);
    return found;
  }

  test("GetPool without a name answers all pools, the default one first", async () => {
    for (const params of [{}, { id: "" }, { pool: "" }]) {
      const { pools } = await server.must("GetPool", params);
      expect(pools.map(({ name }) => name)).toEqual([pool, otherPool]);
    }
  });

  test("GetPool answers the pool that id or pool names", async () => {
    expect(await server.must("GetPool", { id: otherPool })).toMatchObject({ pools: [{ name: otherPool }] });
    expect(await server.must("GetPool", { pool: otherPool })).toMatchObject({ pools: [{ name: otherPool }] });
    expect(await server.must("GetPool", { id: pool, pool })).toMatchObject({ pools: [{ name: pool }] });
  });

  test("its members come in this order, sizes in whole MiB", async () => {
    const { text } = await server.post(`{"method":"ImageStore.GetPool","params":[{"id":"${pool}"}],"id":1}`);
    expect(text).toMatch(
      /^\{"result":\{"pools":\[\{"name":"[^"]+","driver":"(?:openzfs|embedded)","size":\d+,"allocated":\d+,"free":\d+,"available":\d+,"promised":\d+,"health":"ONLINE","fragmentation":(?:\d+|null)\}\]\},"error":null,"id":1\}\n$/,
    );
  });

  test("the sizes fit each other", async () => {
    const { size, allocated, free, available, fragmentation } = await getPool(pool);
    expect(size).toBeGreaterThan(0);
    // Each is rounded down for itself.
    expect(Math.abs(size - allocated - free)).toBeLessThanOrEqual(2);
    expect(available).toBeGreaterThan(0);
    expect(available).toBeLessThanOrEqual(free);
    if (fragmentation !== null) expect(fragmentation).toBeLessThanOrEqual(100);
  });

  test("a thick volume takes its size from what is available, at once and as long as it is there", async () => {
    const before = await getPool(pool);
    await server.must("CreateVolume", { id: `${own}/thick`, size: 64 });
    const during = await getPool(pool);
    // Others may use the pool too, and metadata takes some.
    expect(before.available - during.available).toBeGreaterThanOrEqual(56);
    await server.must("DeleteDataset", { id: `${own}/thick` });
    await expect
      .poll(async () => (await getPool(pool)).available, { timeout: 30_000 })
      .toBeGreaterThan(during.available + 48);
  });

  test("what VerifyDisks takes and refuses lies about available less promised", async () => {
    const { available, promised } = await getPool(pool);
    const verify = (size: number) => ({ guest: { id: `${own}-g`, disks: [{ size }] } });
    await server.must("VerifyDisks", verify(available - promised - 64));
    expect(await server.refusal("VerifyDisks", verify(available - promised + 64))).toBe(
      "no space left on device",
    );
  });

  test("what is no configured pool is refused, and names that differ", async () => {
    for (const id of ["nope", `${pool}/images`, "..", `${pool}@s`, "-o"]) {
      const error = await server.failure("GetPool", { id });
      expect(error.message).toBe(`no such pool is configured: ${JSON.stringify(id)}`);
      expect(error.data).toEqual({ reason: "pool.not_found", errno: "ENOENT", retryable: false });
    }
    expect(await server.refusal("GetPool", { id: pool, pool: otherPool })).toBe(
      `id and pool name two pools: ${pool} and ${otherPool}`,
    );
  });

  test("metrics has the same numbers in bytes", async () => {
    let text = "";
    // A pool whose actor answers late, on a busy machine, is left out of a scrape.
    await until("all pools are in the metrics", async () => {
      text = (await server.send({ method: "GET", path: "/metrics" })).text;
      return [pool, otherPool].every((each) => text.includes(`imagestore_pool_size_bytes{pool="${each}"`));
    });
    const value = (name: string, of: string) => {
      const found = new RegExp(`^imagestore_pool_${name}\\{pool="${of}"[^}]*\\} (\\S+)$`, "m").exec(text);
      return Number(found?.[1]);
    };
    for (const each of [pool, otherPool]) {
      const { size } = await getPool(each);
      expect(Math.floor(value("size_bytes", each) / 2 ** 20)).toBeCloseTo(size, -1);
      expect(value("allocated_bytes", each) + value("free_bytes", each)).toBe(value("size_bytes", each));
      expect(value("available_bytes", each)).toBeGreaterThan(0);
      expect(value("promised_bytes", each)).toBeGreaterThanOrEqual(0);
      expect(value("health", each)).toBe(1);
    }
  });
});
