import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ROOT } from "../../support/source-tree.js";

const UNIT = "packaging/imagestore.service";
const hasAnalyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!hasAnalyze) console.log("the exposure of the unit is not checked: there is no systemd-analyze");

/** What `systemd-analyze security` says of the unit, with drop-ins: from 0 (locked up) to 10. */
function exposureOf(...dropIns: string[]): number {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(ROOT, UNIT), join(folder, "imagestore.service"));
  mkdirSync(join(folder, "imagestore.service.d"));
  for (const [index, path] of dropIns.entries())
    cpSync(join(ROOT, path), join(folder, "imagestore.service.d", `${index}.conf`));
  const { stdout, stderr } = spawnSync(
    "systemd-analyze",
    ["security", "--offline=yes", "--no-pager", "imagestore.service"],
    { encoding: "utf8", env: { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:`, LC_ALL: "C.UTF-8" } },
  );
  const found = /Overall exposure level for imagestore\.service: ([\d.]+)/.exec(stdout);
  if (!found) throw new Error(`systemd-analyze says: ${stderr}`);
  return Number(found[1]);
}

describe("the unit", () => {
  test.skipIf(!hasAnalyze)("is exposed less than 5, as far as ZFS allows it", () => {
    expect(exposureOf()).toBeLessThan(5);
  });

  test.skipIf(!hasAnalyze)("is exposed less than 2 where all pools are in folders", () => {
    expect(exposureOf("packaging/examples/embedded.conf")).toBeLessThan(2);
  });

  test("has no mount namespace of its own, where zfs would mount for nobody else", () => {
    const settings = readFileSync(join(ROOT, UNIT), "utf8").match(/^\w+(?==)/gm) ?? [];
    const namespaced =
      /^(Protect(System|Home|Proc|KernelTunables|KernelModules|KernelLogs|ControlGroups)|ProcSubset|Private(Tmp|Devices|IPC|Mounts|Users|Network)|DynamicUser|.*Paths|Bind.*|Root.*|TemporaryFileSystem|MountFlags)$/;
    expect(settings.length).toBeGreaterThan(20);
    expect(settings.filter((name) => namespaced.test(name))).toEqual([]);
  });
});
