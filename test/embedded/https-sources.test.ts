import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestCa, type TestCa } from "../support/certificates.js";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call, type Images, must } from "../support/rpc.js";

describe("https sources", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-https-"));
  let own: TestCa;
  let foreign: TestCa;
  const servers: Server[] = [];
  let daemon: DaemonProcess;
  let stream = Buffer.alloc(0);

  /** A source with a certificate for these names. @returns its port. */
  async function serve(ca: TestCa, name: string, names: string): Promise<number> {
    const { cert, key } = ca.issue(name, { subject: `/CN=${name}`, names, usage: "serverAuth" });
    const server = createServer(
      { cert: readFileSync(cert), key: readFileSync(key) },
      (_request, response) => {
        response.writeHead(200, { "content-length": stream.length }).end(stream);
      },
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  }

  const config = (images: object) => ({
    listen: { port: 0 },
    pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
    imageSources: ["127.0.0.1", "localhost"],
    dataDir: join(folder, "data"),
    images: { attempts: 1, ...images },
  });

  beforeAll(async () => {
    own = createTestCa("/CN=own CA");
    foreign = createTestCa("/CN=foreign CA");
    const bundle = join(folder, "ca.pem");
    const other = createTestCa("/CN=a third CA");
    writeFileSync(bundle, `# those of the operator\n${readFileSync(other.file)}${readFileSync(own.file)}`);
    other.remove();
    daemon = await startDaemonProcess(config({ caFile: bundle }));
    await must(daemon.url, "CreateVolume", { id: "seed", size: 8 });
    await must(daemon.url, "CreateSnapshot", { id: "seed", dest: "s" });
    const response = await fetch(`${daemon.url}/snapshots/download?id=seed@s`);
    stream = Buffer.from(await response.arrayBuffer());
  });
  afterAll(async () => {
    await daemon?.stop();
    for (const server of servers) server.close();
    own?.remove();
    foreign?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(["127.0.0.1", "localhost"])("are trusted by the CA of images.caFile, at %s", async (host) => {
    const port = await serve(own, `good-${host}`, "DNS:localhost,IP:127.0.0.1");
    const id = `signed-${host}`;
    const source = `https://${host}:${port}/i`;
    const { images } = await must<Images>(daemon.url, "RequestImage", { id, source });
    expect(images?.[0]).toMatchObject({ id, status: "complete" });
  });

  test("that a CA has signed which nobody named are refused, with the setting that names it", async () => {
    const port = await serve(foreign, "foreign", "IP:127.0.0.1");
    const source = `https://127.0.0.1:${port}/i`;
    const { error } = await call(daemon.url, "RequestImage", { id: "foreign", source });
    expect(error).toMatch(/certificate.*; images\.caFile can name who has signed it, url: https:/);
  });

  test("whose certificate is for another host are refused", async () => {
    const port = await serve(own, "elsewhere", "DNS:elsewhere.example");
    const source = `https://127.0.0.1:${port}/i`;
    const { error } = await call(daemon.url, "RequestImage", { id: "elsewhere", source });
    expect(error).toMatch(/does not match certificate's altnames/);
  });

  test.each([
    ["a file that is not there", () => join(folder, "none.pem"), /images\.caFile: .*none\.pem: ENOENT/],
    ["a file without a certificate", () => own.file.replace(/\.pem$/, ".key"), /no certificate in PEM/],
  ])("with %s the daemon does not start, and says so", async (_what, caFile, reason) => {
    await expect(startDaemonProcess(config({ caFile: caFile() }))).rejects.toThrow(reason);
  });
});
