import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { Space } from "../driver.js";
import type { Catalog } from "./catalog.js";
import type { VolumeFiles } from "./volume-files.js";

/** What there is room for in an embedded pool. */
export interface Usage {
  space(): Promise<Space>;
  /** Whether `held` more would be too much for the quota; without a quota the file system refuses itself. */
  exceedsQuota(held: bigint): Promise<boolean>;
}

export function createUsage(catalog: Catalog, files: VolumeFiles, quota: Bytes | undefined): Usage {
  /** What the pool's files take, and what thick and thin volumes may still take. */
  async function sumUp(): Promise<{ used: bigint; reserved: bigint; promised: bigint }> {
    const sums = { used: 0n, reserved: 0n, promised: 0n };
    const shared = new Set<string>();
    for (const entry of [...catalog.entries()]) {
      if (entry.type === "snapshot") {
        sums.used += entry.held;
        shared.add(entry.file);
      }
    }
    for (const entry of [...catalog.entries()]) {
      if (entry.type !== "volume") continue;
      // One that goes while we count has nothing any more.
      const held = await files.heldBy(entry.file).catch(() => bytes(0));
      if (!shared.has(entry.file)) sums.used += held;
      const growth = entry.volsize > held ? entry.volsize - held : 0n;
      if (entry.reserved) sums.reserved += growth;
      else if (!entry.readonly) sums.promised += growth;
    }
    return sums;
  }

  async function space(): Promise<Space> {
    const [free, { used, reserved, promised }] = await Promise.all([files.available(), sumUp()]);
    let left: bigint = free;
    if (quota !== undefined && quota - used < left) left = quota - used;
    left -= reserved;
    return { available: bytes(left > 0n ? left : 0n), promised: bytes(promised) };
  }

  async function exceedsQuota(held: bigint): Promise<boolean> {
    if (quota === undefined) return false;
    const { used, reserved } = await sumUp();
    return used + reserved + held > quota;
  }

  return { space, exceedsQuota };
}
