import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startDaemonProcess } from "../support/daemon.js";
import { must } from "../support/rpc.js";
import { openSecretSources, requestSecretSources, SECRETS } from "../support/secret-sources.js";

test("user, password and query of a source are nowhere to be seen: replies, log, argv, files, metrics", async () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const pools = [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }];
  const config = { listen: { port: 0 }, pools, dataDir: join(folder, "records"), log: { level: "debug" } };
  const maker = await startDaemonProcess(config);
  await must(maker.url, "CreateVolume", { id: "v", size: 8 });
  await must(maker.url, "CreateSnapshot", { id: "v", dest: "s" });
  const stream = Buffer.from(await (await fetch(`${maker.url}/snapshots/download?id=v@s`)).arrayBuffer());
  await maker.stop();
  const sources = await openSecretSources(stream);
  const daemon = await startDaemonProcess({ ...config, imageSources: ["127.0.0.1"] });
  onTestFinished(async () => {
    await daemon.stop();
    await sources.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const shown = await requestSecretSources(daemon, sources, "whole");
  expect(sources.asked[0]).toBe(`${SECRETS[0]}:${SECRETS[1]} /whole?X-Signature=${SECRETS[2]}`);
  expect(shown.whole).toContain('"status":"complete"');
  expect(shown.missing).toContain(`received 404, url: http://${sources.host}/missing?…`);
  expect(shown.argv).toContain(`http://${sources.host}/whole?…`);
  expect(shown.log).toContain(`http://${sources.host}/missing?…`);

  await daemon.stop();
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => [path, readFileSync(path, "latin1")] as const);
  expect(files.map(([, text]) => text).join()).toContain("imagestore:source");
  for (const [where, text] of [...Object.entries({ ...shown, "last log": daemon.log() }), ...files]) {
    for (const secret of SECRETS) expect(text.includes(secret), `${secret} in ${where}`).toBe(false);
  }
});
