import { readdirSync, readFileSync } from "node:fs";

/** The file descriptors of this process. */
export interface Descriptors {
  /** How many it may have: the soft limit, which Node raises to the hard one when it starts. */
  readonly most: number;
  readonly open: number;
}

/** @returns undefined where there is no `/proc`. */
export function readDescriptors(): Descriptors | undefined {
  try {
    const [, most = ""] = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    const open = readdirSync("/proc/self/fd").length;
    return { most: most === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(most), open };
  } catch {
    return undefined;
  }
}

/**
 * How many connections to accept on each of so many ports: `wanted`, or else their part of half of the
 * descriptors that are left once the pools are open. The other half is for downloads, fetches, commands
 * and files.
 */
export function connectionLimit(wanted: number, descriptors: Descriptors | undefined, ports = 1): number {
  if (!descriptors) return wanted;
  return Math.max(1, Math.min(wanted, Math.floor((descriptors.most - descriptors.open) / 2 / ports)));
}
