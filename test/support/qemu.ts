import { spawnSync } from "node:child_process";

/** Why tests with qemu-img are skipped here. Undefined: it is there. */
export function whyNoQemu(): string | undefined {
  const { error } = spawnSync("qemu-img", ["--version"]);
  if (!error) return undefined;
  if (process.env.REQUIRE_QEMU === "1") throw new Error("no qemu-img is installed, and REQUIRE_QEMU is 1");
  return "no qemu-img is installed (Debian: qemu-utils)";
}

/** Runs qemu-img, which must succeed. */
export function qemuImg(...args: string[]): void {
  const { status, stderr, error } = spawnSync("qemu-img", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`qemu-img ${args.join(" ")}: ${error ?? stderr}`);
}
