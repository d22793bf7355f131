import { expect, inject, onTestFinished, test } from "vitest";
import { startDaemonProcess, vmPool } from "../support/daemon.js";
import { must } from "../support/rpc.js";
import { openSecretSources, requestSecretSources, SECRETS } from "../support/secret-sources.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "secrets";

test.skipIf("skip" in vm)(
  "user, password and query of a source are in no property and not in the history of the pool",
  async () => {
    const running = vm as Vm;
    createPool(running, POOL, "/dev/vdk");
    const pools = [vmPool(running, POOL)];
    const config = { listen: { port: 0 }, pools, log: { level: "debug" }, imageSources: ["127.0.0.1"] };
    const daemon = await startDaemonProcess(config, { OPENZFS_VM_RUN: running.run });
    await must(daemon.url, "CreateVolume", { id: "v", size: 8 });
    await must(daemon.url, "CreateSnapshot", { id: "v", dest: "s" });
    const stream = Buffer.from(await (await fetch(`${daemon.url}/snapshots/download?id=v@s`)).arrayBuffer());
    const sources = await openSecretSources(stream);
    onTestFinished(async () => {
      await daemon.stop();
      await sources.close();
      destroyPool(running, POOL);
    });

    const shown = await requestSecretSources(daemon, sources, "whole");
    expect(sources.asked[0]).toBe(`${SECRETS[0]}:${SECRETS[1]} /whole?X-Signature=${SECRETS[2]}`);
    expect(shown.whole).toContain('"status":"complete"');
    const image = `${POOL}/images/whole`;
    const source = vmExec(running, ["zfs", "get", "-Hp", "-o", "value", "imagestore:source", image]).trim();
    expect(source).toBe(`http://${sources.host}/whole?…`);
    const properties = vmExec(running, ["zfs", "get", "-Hpr", "all", POOL]);
    const history = vmExec(running, ["zpool", "history", "-il", POOL]);
    expect(history).toContain("imagestore:source");
    for (const [where, text] of Object.entries({ ...shown, properties, history })) {
      for (const secret of SECRETS) expect(text.includes(secret), `${secret} in ${where}`).toBe(false);
    }
  },
);
