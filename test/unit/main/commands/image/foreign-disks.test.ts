import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { inspectStream } from "../../../../../src/main/commands/image/inspect.js";
import { openStreamSource } from "../../../../../src/main/commands/image/stream-source.js";
import { type CommandEnd, sparseFile, startImageCommand } from "../../../../support/image-command.js";
import { childrenOf } from "../../../../support/processes.js";
import { qemuImg, whyNoQemu } from "../../../../support/qemu.js";
import { mountSmallDisk } from "../../../../support/small-disk.js";
import { isAlive, until } from "../../../../support/until.js";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const missing = whyNoQemu();
if (missing !== undefined) console.log(`foreign-disks.test.ts is skipped: ${missing}`);

/** A name, and what `qemu-img convert -O` makes such a file. */
const FORMATS = [
  ["disk.qcow2", ["qcow2"]],
  ["compressed.qcow2", ["qcow2", "-c"]],
  ["disk.vmdk", ["vmdk"]],
  ["streamed.vmdk", ["vmdk", "-o", "subformat=streamOptimized"]],
  ["disk.vdi", ["vdi"]],
  ["disk.vhdx", ["vhdx"]],
  ["disk.vhd", ["vpc", "-o", "force_size=on"]],
  ["fixed.vhd", ["vpc", "-o", "force_size=on,subformat=fixed"]],
  ["disk.qed", ["qed"]],
] as const;

describe.skipIf(missing !== undefined)("image pack of a disk in a format of QEMU", () => {
  let scratch = "";
  /** Where a test's output goes: empty before each. */
  let out = "";
  /** $TMPDIR of the commands: nothing may be left in it. */
  let temporary = "";
  const at = (name: string) => join(scratch, name);

  const start = (args: readonly string[], options: Parameters<typeof startImageCommand>[1] = {}) =>
    startImageCommand(args, { ...options, env: { TMPDIR: temporary, ...options.env } });

  async function done(...args: string[]): Promise<Buffer> {
    const { status, stdout, stderr } = await start(args).ended;
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout;
  }

  function refusal({ status, stdout, stderr }: CommandEnd): string {
    expect({ status, stdout: stdout.length }).toEqual({ status: 1, stdout: 0 });
    expect(stderr).toMatch(/^imagestore: [^\n]+\n$/);
    expect(readdirSync(out)).toEqual([]);
    return stderr.slice("imagestore: ".length, -1);
  }
  const refuse = async (file: string, env: NodeJS.ProcessEnv = {}) =>
    refusal(await start(["pack", file, "-o", join(out, "x.zfs")], { env }).ended);

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "imagestore-foreign-"));
    out = at("out");
    // A path that is too long for a socket.
    temporary = at("t".repeat(120));
    mkdirSync(temporary);
    // Data that ends within a block, adjoins a hole of less than a block, and is the end of the disk.
    sparseFile(at("disk.raw"), 32 * MIB, [
      [0, 4096],
      [5 * MIB + 512, 3 * MIB],
      [20 * MIB, 40 * 1024],
      [20 * MIB + 72 * 1024, 600],
      [31 * MIB, MIB],
    ]);
    for (const [name, options] of FORMATS) {
      const [format, ...more] = options;
      qemuImg("convert", "-O", format, ...more, at("disk.raw"), at(name));
    }
  }, 120_000);
  afterAll(() => {
    rmSync(scratch, { recursive: true, force: true });
  });
  beforeEach(() => {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test.each(FORMATS.map(([name]) => name))(
    "gives the disk in %s, and no block of its holes",
    async (name) => {
      const [stream, back] = [join(out, "x.zfs"), join(out, "back.raw")];
      await done("pack", at(name), "-o", stream);
      await done("unpack", stream, "-o", back);
      expect(readFileSync(back).equals(readFileSync(at("disk.raw")))).toBe(true);
      const { dataBytes, begin } = await inspectStream(openStreamSource(stream));
      await done("pack", at("disk.raw"), "-o", stream);
      expect(dataBytes).toBe((await inspectStream(openStreamSource(stream))).dataBytes);
      expect(begin.toName).toBe(`image/${name}@image`);
      expect(readdirSync(temporary)).toEqual([]);
    },
  );

  test("takes it from a redirected file, from a pipe, and by a relative name with a colon", async () => {
    const file = openSync(at("disk.qcow2"), "r");
    const redirected = start(["pack", "-", "--name", "p/v@s"], { stdin: file });
    const piped = start(["pack", "-", "--name", "p/v@s"], { stdin: "pipe" });
    piped.child.stdin?.end(readFileSync(at("disk.qcow2")));
    for (const { status, stdout, stderr } of await Promise.all([redirected.ended, piped.ended])) {
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      writeFileSync(join(out, "x.zfs"), stdout);
      await done("unpack", join(out, "x.zfs"), "-o", join(out, "back.raw"));
      expect(readFileSync(join(out, "back.raw")).equals(readFileSync(at("disk.raw")))).toBe(true);
    }
    closeSync(file);
    copyFileSync(at("disk.qcow2"), join(out, "nbd:disk.qcow2"));
    await done("pack", join(out, "nbd:disk.qcow2"), "-o", join(out, "x.zfs"));
  });

  test("rounds its size up to whole MiB and says so", async () => {
    sparseFile(at("odd.raw"), 3 * MIB + 512, [[3 * MIB, 512]]);
    qemuImg("convert", "-O", "qcow2", at("odd.raw"), at("odd.qcow2"));
    const { status, stderr } = await start(["pack", at("odd.qcow2"), "-o", join(out, "x.zfs")]).ended;
    expect(status).toBe(0);
    expect(stderr).toContain(
      "the disk has 3146240 bytes, the volume 4194304: whole MiB, the rest is zeros\n",
    );
    await done("unpack", join(out, "x.zfs"), "-o", join(out, "back.raw"));
    const back = readFileSync(join(out, "back.raw")).subarray(0, 3 * MIB + 512);
    expect(back.equals(readFileSync(at("odd.raw")))).toBe(true);
  });

  test("reads none of the holes of a disk of 4 TiB", async () => {
    qemuImg("create", "-q", "-f", "qcow2", at("vast.qcow2"), "4T");
    const begun = performance.now();
    await done("pack", at("vast.qcow2"), "-o", join(out, "x.zfs"));
    // At 4 GB/s they would take 18 minutes.
    expect(performance.now() - begun).toBeLessThan(30_000);
    expect(await inspectStream(openStreamSource(join(out, "x.zfs")))).toMatchObject({
      dataBytes: 0,
      volsize: BigInt(4096 * GIB),
    });
  });

  test("needs no room for a copy: its $TMPDIR may be full", async (context) => {
    const folder = at("small");
    mkdirSync(folder);
    const mounted = mountSmallDisk(folder, 4);
    if (typeof mounted === "string") return context.skip(mounted);
    using disk = mounted;
    sparseFile(at("large.raw"), 64 * MIB, [[0, 64 * MIB]]);
    qemuImg("convert", "-O", "qcow2", at("large.raw"), at("large.qcow2"));
    const packed = await start(["pack", at("large.qcow2"), "-o", join(out, "x.zfs")], {
      env: { TMPDIR: disk.path },
    }).ended;
    expect(packed).toMatchObject({ status: 0, stderr: "" });
    disk.fill("full");
    const again = start(["pack", at("large.qcow2"), "-o", join(disk.path, "x.zfs")]);
    expect(await again.ended).toMatchObject({ status: 1 });
    expect((await again.ended).stderr).toMatch(/^imagestore: ENOSPC[^\n]*\n$/);
    expect(readdirSync(disk.path)).toEqual(["full"]);
  });

  test("refuses a file that is only a part of a disk, and names the others", async () => {
    writeFileSync(at("secret"), "not to be sent");
    qemuImg("create", "-q", "-f", "qcow2", "-b", at("secret"), "-F", "raw", at("overlay.qcow2"));
    expect(await refuse(at("overlay.qcow2"))).toBe(
      `${at("overlay.qcow2")} is only a part of a disk, it builds on ${at("secret")}. Join them first: qemu-img convert -f qcow2 -O raw ${at("overlay.qcow2")} disk.raw`,
    );
    qemuImg("create", "-q", "-f", "qcow2", "-o", `data_file=${at("data")}`, at("outside.qcow2"), "1M");
    expect(await refuse(at("outside.qcow2"))).toContain(
      `is only a part of a disk, it builds on ${at("data")}.`,
    );
  });

  test("refuses one that is encrypted", async () => {
    const secret = ["--object", "secret,id=s,data=abc", "-o", "encrypt.format=aes,encrypt.key-secret=s"];
    qemuImg("create", "-q", "-f", "qcow2", ...secret, at("secret.qcow2"), "1M");
    expect(await refuse(at("secret.qcow2"))).toBe(`${at("secret.qcow2")} is encrypted. Decrypt it first`);
  });

  // Without its end a VHD of fixed size is a raw disk.
  test.each(FORMATS.map(([name]) => name).filter((name) => name !== "fixed.vhd"))(
    "refuses %s when its end is missing",
    async (name) => {
      const cut = at(`cut-${name}`);
      copyFileSync(at(name), cut);
      truncateSync(cut, Math.floor(statSync(cut).size / 2));
      expect(await refuse(cut)).toContain(cut);
    },
  );

  test("refuses one that is damaged inside, or only begins like one", async () => {
    const damaged = at("damaged.qcow2");
    copyFileSync(at("compressed.qcow2"), damaged);
    const file = openSync(damaged, "r+");
    // Behind the header and the tables.
    writeSync(file, randomBytes(MIB), 0, MIB, 6 * 65_536);
    closeSync(file);
    expect(await refuse(damaged)).toMatch(/damaged\.qcow2( is damaged|: error while reading)/);
    writeFileSync(
      at("begin.qcow2"),
      Buffer.concat([Buffer.from("514649fb00000003", "hex"), randomBytes(MIB)]),
    );
    expect(await refuse(at("begin.qcow2"))).toContain("begin.qcow2");
  });

  test("refuses one that another process writes to", async () => {
    const socket = join(scratch, "s");
    const writer = spawn("qemu-nbd", [
      "--persistent",
      "--format=qcow2",
      `--socket=${socket}`,
      at("disk.qcow2"),
    ]);
    try {
      await until("qemu-nbd is there", () => existsSync(socket));
      expect(await refuse(at("disk.qcow2"))).toMatch(/Failed to get shared "write" lock/);
    } finally {
      writer.kill("SIGKILL");
    }
  });

  describe("when qemu-img", () => {
    /** A folder for PATH whose qemu-img does something else for `convert`. */
    function standIn(script: string): string {
      const folder = mkdtempSync(join(scratch, "bin-"));
      const [real = ""] = (process.env.PATH ?? "")
        .split(":")
        .map((each) => join(each, "qemu-img"))
        .filter((path) => existsSync(path));
      const text = `#!/bin/sh\nif [ "$1" = convert ]; then\n${script}\nfi\nexec ${real} "$@"\n`;
      writeFileSync(join(folder, "qemu-img"), text);
      chmodSync(join(folder, "qemu-img"), 0o755);
      return `${folder}:${process.env.PATH}`;
    }

    /** Packs a disk until qemu-img, with this pid, is in the middle of it. Nobody reads the stream, so it can't be done. */
    async function startConverting() {
      const { child, ended } = start(["pack", at("whole.qcow2")], { unread: true });
      const converting = () => childrenOf(child.pid ?? 0, "qemu-img convert");
      await until(
        "qemu-img converts",
        () => converting().length === 1 && (child.stdout?.readableLength ?? 0) > 0,
      );
      const [pid = 0] = converting();
      return { child, ended, pid };
    }

    test.each([
      ["is killed", "kill -9 $$", /: qemu-img was ended by SIGKILL$/],
      ["fails", "echo 'qemu-img: no luck' >&2; exit 1", /: no luck$/],
      ["says nothing and succeeds", "exit 0", /: qemu-img left before it was done$/],
      [
        "sends something else",
        "echo hello hello hello hello >&3; exec sleep 60",
        /: qemu-img does not speak NBD$/,
      ],
    ])("%s, one line says so, and nothing is left", async (_what, script, reason) => {
      const begun = performance.now();
      expect(await refuse(at("disk.qcow2"), { PATH: standIn(script) })).toMatch(reason);
      expect(performance.now() - begun).toBeLessThan(20_000);
    });

    test("is killed in the middle, one line says so, and no target is left", async () => {
      sparseFile(at("whole.raw"), 64 * MIB, [[0, 64 * MIB]]);
      qemuImg("convert", "-O", "qcow2", at("whole.raw"), at("whole.qcow2"));
      const { child, ended, pid } = await startConverting();
      process.kill(pid, "SIGKILL");
      child.stdout?.resume();
      expect(await ended).toMatchObject({
        status: 1,
        stderr: `imagestore: ${at("whole.qcow2")}: qemu-img was ended by SIGKILL\n`,
      });
    });

    test("works, and imagestore is killed, it ends too", async () => {
      const { child, ended, pid } = await startConverting();
      child.kill("SIGKILL");
      child.stdout?.destroy();
      await ended;
      await until("qemu-img has ended", () => !isAlive(pid));
    });
  });
});
