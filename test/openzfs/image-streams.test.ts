import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { testLong } from "../support/long-tests.js";
import { call, type Images, must } from "../support/rpc.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "imgstreams";
const MIB = 1024 * 1024;

// Streams of the real zfs send, each as the image service would have it.
describe.skipIf("skip" in vm)("images of unusual streams", () => {
  const running = vm as Vm;
  const streams = new Map<string, Buffer>();
  const service = createServer((request, response) => {
    const stream = streams.get(request.url?.split("/").at(-2) ?? "");
    if (stream) response.end(stream);
    else response.writeHead(404).end();
  });
  let daemon: DaemonProcess;

  const inVm = (script: string) => vmExec(running, ["sh", "-ec", script]).trim();
  const send = (options: string): Buffer => {
    const { status, stdout, stderr } = spawnSync(running.exec, ["sh", "-c", `zfs send ${options}`], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      maxBuffer: 256 * MIB,
    });
    expect(status, stderr.toString()).toBe(0);
    return stdout;
  };
  const request = (id: string) => call<Images>(daemon.url, "RequestImage", { id, type: "kvm" });

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdi");
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    const address = service.address();
    const port = typeof address === "object" && address ? address.port : 0;
    daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [vmPool(running, POOL)],
        imageService: `127.0.0.1:${port}`,
        log: { level: "error" },
      },
      { OPENZFS_VM_RUN: running.run },
    );
    inVm(`
      zfs create ${POOL}/src
      zfs create -s -V 8M -o volblocksize=16k ${POOL}/src/v
      zfs create -s -V 8M ${POOL}/src/w
      zfs set sync=disabled volmode=none compression=gzip-9 refreservation=1M copies=2 maker:secret=x ${POOL}/src/w
      zfs set volmode=none ${POOL}/src/w
    `);
    fillVolume(running, `${POOL}/src/v`, 4);
    inVm(`
      zfs snapshot ${POOL}/src/v@a
      zfs hold theirs ${POOL}/src/v@a
      zfs set sync=disabled volmode=none compression=gzip-9 refreservation=1M maker:secret=x ${POOL}/src/v
      zfs snapshot ${POOL}/src/v@b
      zfs snapshot -r ${POOL}/src@all
    `);
  });
  afterAll(async () => {
    await daemon?.stop();
    service.closeAllConnections();
    service.close();
    destroyPool(running, POOL);
  });

  test("a package brings its data, and none of its maker's properties and holds", async () => {
    const snapshot = `${POOL}/src/v@a`;
    streams.set("plain", send(snapshot));
    streams.set("packed", send(`-p -h ${snapshot}`));
    streams.set("zipped", gzipSync(send(`-p -c ${snapshot}`)));
    streams.set("lone", send(`-R ${POOL}/src/w@all`));
    for (const id of ["plain", "packed", "zipped", "lone"]) {
      expect((await must<Images>(daemon.url, "RequestImage", { id, type: "kvm" })).images).toHaveLength(1);
    }
    const shown = "sync,volmode,compression,refreservation,copies,readonly,maker:secret";
    const properties = (id: string) =>
      inVm(`zfs get -H -o property,value,source ${shown} ${POOL}/images/${id}`).replaceAll(/\t/g, " ");
    const expected = properties("plain");
    expect(expected).toContain("sync standard default");
    expect(expected).toContain("maker:secret - -");
    for (const id of ["packed", "zipped", "lone"]) {
      expect(properties(id)).toBe(expected);
      const received = inVm(`zfs get -H -s received -o property all ${POOL}/images/${id}`);
      expect(received).toBe(inVm(`zfs get -H -s received -o property all ${POOL}/images/plain`));
    }
    expect(inVm(`zfs holds -H ${POOL}/images/packed@a ${POOL}/images/lone@all`)).toBe("");
    const guid = (name: string) => inVm(`zfs get -H -o value guid ${name}`);
    for (const id of ["packed", "zipped"]) expect(guid(`${POOL}/images/${id}@a`)).toBe(guid(snapshot));
  });

  testLong("what is no whole single volume is refused with the reason, and leaves nothing", async () => {
    inVm(`
      zfs clone -o volmode=full ${POOL}/src/v@a ${POOL}/redaction
      until [ -b /dev/zvol/${POOL}/redaction ]; do sleep 0.1; done
      dd if=/dev/zero of=/dev/zvol/${POOL}/redaction bs=64k count=1 conv=fsync
      zfs snapshot ${POOL}/redaction@r
      zfs redact ${POOL}/src/v@a book ${POOL}/redaction@r
      echo "a long passphrase" | zfs create -s -V 8M -o encryption=on -o keyformat=passphrase -o keylocation=prompt ${POOL}/secret
      zfs snapshot ${POOL}/secret@s
    `);
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ["redacted", `--redact book ${POOL}/src/v@a`, /redacted/],
      ["redacted-package", `-p --redact book ${POOL}/src/v@a`, /redacted/],
      ["raw", `-w ${POOL}/secret@s`, /raw, encrypted/],
      ["raw-package", `-w -p ${POOL}/secret@s`, /raw, encrypted/],
      ["incremental", `-i @a ${POOL}/src/v@b`, /incremental/],
      ["incremental-package", `-p -i @a ${POOL}/src/v@b`, /incremental/],
      ["history", `-R ${POOL}/src/v@b`, /several snapshots/],
      ["volumes", `-R ${POOL}/src@all`, /filesystem/],
      ["filesystem", `${POOL}/src@all`, /filesystem/],
    ];
    for (const [id, options, reason] of cases) {
      const stream = send(options);
      streams.set(id, id.endsWith("package") ? gzipSync(stream) : stream);
      const { error } = await request(id);
      expect(error, id).toMatch(/^no usable image: /);
      expect(error, id).toMatch(reason);
    }
    const left = inVm(`zfs list -H -o name -r ${POOL}/images`).split("\n");
    expect(left.filter((name) => /redacted|raw|incremental|history|volumes|filesystem/.test(name))).toEqual(
      [],
    );
  });
});
