import { expect, test } from "vitest";
import { conformance } from "./suite.js";

/** What is refused before any store is asked: the server of the suite has no profile of backups. */
conformance("Backups", "backups", ({ server, own }) => {
  test.each([
    ["BackupSnapshot", { profile: "p" }, "need an id"],
    ["ListBackups", {}, "need a profile"],
    ["VerifyBackup", {}, "need a profile"],
    ["VerifyBackup", { profile: "p", verify: "some" }, "not a way to verify"],
    ["RestoreBackup", { profile: "p", dest: "x" }, "need an id"],
    ["RestoreBackup", { profile: "p", id: "1" }, "need dest"],
    ["PruneBackups", { profile: "p" }, "need what to keep"],
  ] as const)("%s of %j is refused: %s", async (method, params, why) => {
    expect(await server.refusal(method, params)).toBe(why);
  });

  test("a profile that the configuration lacks is refused, also of a snapshot that is there", async () => {
    await server.must("CreateVolume", { id: `${own}/v`, size: 8 });
    await server.must("CreateSnapshot", { id: `${own}/v`, dest: "s" });
    const profile = "none";
    const refusals = await Promise.all([
      server.refusal("BackupSnapshot", { id: `${own}/v@s`, profile }),
      server.refusal("ListBackups", { profile }),
      server.refusal("VerifyBackup", { profile }),
      server.refusal("RestoreBackup", { profile, id: "1", dest: `${own}/new` }),
      server.refusal("PruneBackups", { profile, keepLast: 1 }),
    ]);
    expect(refusals).toEqual(Array(5).fill("no such profile of backups"));
    expect(await server.refusal("BackupSnapshot", { id: `${own}/v@none` })).toBe("not found");
    expect(await server.refusal("BackupSnapshot", { id: `${own}/v`, profile })).toBe("not a snapshot");
    expect(await server.refusal("BackupSnapshot", { id: `${own}/v@s` })).toBe("need a profile");
  });
});
