import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { transportNames } from "../support/transports.js";
import { createPool, destroyPool, type Vm } from "../support/vm.js";

const vm = inject("vm");
const POOL = "hostile";

const NAMES = [
  "..",
  "../../etc",
  "a/../b",
  "a@b@c",
  "@x",
  "a b\tc",
  "a\nb",
  "a\u0000b",
  "ünïcode",
  "a%b",
  "a;b",
  "$(reboot)",
  "`id`",
  "a#b",
  "x".repeat(256),
  `${"y/".repeat(200)}z`,
];

const BODIES = [
  "",
  "{",
  "null",
  "7",
  '"text"',
  "[]",
  "[1,2]",
  "{}",
  '{"method":5}',
  '{"method":"ImageStore.GetVolume"}',
  '{"method":"ImageStore.GetVolume","params":{}}',
  '{"method":"ImageStore.CreateVolume","params":[{"id":"v","size":-1}],"id":1}',
  '{"method":"ImageStore.CreateVolume","params":[{"id":"v","size":1.5}],"id":1}',
  '{"method":"ImageStore.CreateVolume","params":[{"id":"v","size":"8"}],"id":1}',
  '{"method":"ImageStore.CreateVolume","params":[{"id":"v","size":18446744073709551616}],"id":1}',
  '{"method":"ImageStore.CreateVolume","params":[{"id":"v","size":18446744073709551615}],"id":1}',
  '{"method":"ImageStore.CreateGuestDisks","params":[{"guest":{"id":"g","disks":[{"size":18446744073709551615}]}}],"id":1}',
  '{"method":"ImageStore.CreateVolume","params":[{"__proto__":{"id":"v"},"size":1}],"id":1}',
  `{"method":"ImageStore.VerifyDisks","params":[${"[".repeat(100_000)}${"]".repeat(100_000)}],"id":1}`,
  `{"method":"ImageStore.VerifyDisks","params":[${'{"guest":'.repeat(50_000)}1${"}".repeat(50_000)}],"id":1}`,
  `{"method":"ImageStore.GetVolume","params":[{"id":"${"z".repeat(900_000)}"}],"id":1}`,
  "\u00ff\u00fe",
];

const HTTP = [
  "GET\r\n\r\n",
  "\r\n\r\n\r\n",
  "POST /_mistify_RPC_ HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
  "POST /_mistify_RPC_ HTTP/1.1\r\nHost: x\r\nContent-Length: banana\r\n\r\n{}",
  "POST /_mistify_RPC_ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `GET / HTTP/1.1\r\n${"X-Y: z\r\n".repeat(5_000)}\r\n`,
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "POST /_mistify_RPC_ HTTP/9.9\r\n\r\n",
];

describe.skipIf("skip" in vm).each(transportNames)("bad input over %s", (transport) => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-hostile-"));
  const started = join(folder, "started");
  let daemon: DaemonProcess;

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdi");
    writeFileSync(started, "");
    // Each start of a command leaves a line with its argv.
    const counted = (program: string) => [
      "sh",
      "-c",
      `echo "$*" >>"$0"; exec "$@"`,
      started,
      running.exec,
      program,
    ];
    daemon = await startDaemonProcess(
      {
        listen: { port: 0, transport },
        // What others change is not followed: that starts commands by itself.
        pools: [
          {
            ...vmPool(running, POOL),
            zfsCommand: counted("zfs"),
            zpoolCommand: counted("zpool"),
            outsideEvents: "off",
          },
        ],
        log: { level: "error" },
      },
      { OPENZFS_VM_RUN: running.run },
    );
  });
  afterAll(async () => {
    expect(daemon.log()).toBe("");
    expect(await daemon.stop()).toBe(0);
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  const commandsStarted = () =>
    readFileSync(started, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  const post = (path: string, body: string) =>
    fetch(`${daemon.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: Buffer.from(body, "latin1"),
    });
  const isAlive = async () => {
    expect((await fetch(`${daemon.url}/healthz`)).status).toBe(200);
    expect(daemon.process.exitCode).toBeNull();
  };

  test("no hostile name starts a process, and each gets an error", async () => {
    const before = commandsStarted();
    const requests = NAMES.flatMap((name) => {
      const id = { id: name };
      return [
        ["CreateVolume", { ...id, size: 8 }],
        ["GetVolume", id],
        ["DeleteDataset", id],
        ["ListSnapshots", id],
        ["GetSnapshot", id],
        ["GetSnapshot", { id: `${name}@s` }],
        ["CreateSnapshot", { ...id, dest: "s" }],
        ["CreateSnapshot", { id: "v", dest: name }],
        ["DeleteSnapshot", { id: `${name}@s` }],
        ["RollbackSnapshot", { id: `${name}@s` }],
        ["RequestImage", { id: name }],
        ["GetImage", id],
        ["DeleteImage", id],
        ["CloneImage", { id: "none", dest: name }],
        ["DeleteGuestsDisks", { guest: id }],
        ["CreateGuestDisks", { guest: { id: name, disks: [{ size: 1 }] } }],
        ["GetVolume", { id: "v", pool: name }],
      ] as const;
    });
    for (const [method, params] of requests) {
      const body = JSON.stringify({ method: `ImageStore.${method}`, params: [params], id: 1 });
      const response = await fetch(`${daemon.url}/_mistify_RPC_`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      const text = await response.text();
      expect(response.status, body).toBe(200);
      const { result, error } = JSON.parse(text) as { result: unknown; error: string | null };
      expect(result, body).toBeNull();
      expect(error, body).toMatch(/./);
    }
    for (const name of NAMES) {
      const response = await fetch(`${daemon.url}/snapshots/download?id=${encodeURIComponent(name)}`);
      expect(response.status, name).toBe(400);
      expect(await response.text()).toMatch(/^.+\n$/s);
    }
    // Only CreateSnapshot of `v` looks for that, before it looks at dest.
    const ran = commandsStarted().slice(before.length);
    expect(ran.filter((line) => !/ list .* hostile\/v$/.test(line))).toEqual([]);
    expect(ran.length).toBeLessThanOrEqual(NAMES.length);
  });

  test("no malformed body starts a process or ends the daemon, and each gets a clear answer", async () => {
    const before = commandsStarted();
    for (const body of BODIES) {
      for (const path of ["/_mistify_RPC_", "/rpc"]) {
        const response = await post(path, body);
        const text = await response.text();
        const what = `${path} ${body.slice(0, 80)} → ${response.status} ${text.slice(0, 80)}`;
        if (response.status === 200) {
          const reply = JSON.parse(text) as { error?: unknown } | { error?: unknown }[];
          for (const each of [reply].flat()) expect(each.error, what).toBeTruthy();
        } else {
          expect(response.status, what).toBe(400);
          expect(text.length, what).toBeGreaterThan(5);
        }
      }
    }
    expect(commandsStarted()).toEqual(before);
    await isAlive();
  });

  test("a body of 10 MB is answered 413", async () => {
    for (const path of ["/_mistify_RPC_", "/rpc", "/snapshots/download"]) {
      const response = await post(path, `{"method":"${"x".repeat(10_000_000)}"}`);
      expect(response.status).toBe(413);
      expect(await response.text()).toContain("limits.bodyBytes");
    }
    await isAlive();
  });

  test("malformed HTTP closes its connection and nothing else", async () => {
    const { hostname, port } = new URL(daemon.url);
    for (const bytes of HTTP) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => socket.write(Buffer.from(bytes, "latin1")));
        // Some servers wait for more: half-close tells them that there is none.
        socket.setTimeout(1_000, () => socket.destroy());
        socket.on("data", () => {});
        socket.on("error", () => {});
        socket.on("close", () => resolve());
      });
      await isAlive();
    }
  });
});
