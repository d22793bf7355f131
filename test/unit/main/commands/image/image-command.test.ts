import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { request } from "undici";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { inspectStream } from "../../../../../src/main/commands/image/inspect.js";
import { streamName } from "../../../../../src/main/commands/image/pack.js";
import { openStreamSource } from "../../../../../src/main/commands/image/stream-source.js";
import { sendVolume } from "../../../../../src/protocol/raw-disk/send-volume.js";
import { StreamFailure } from "../../../../../src/protocol/zfs-stream/stream-failure.js";
import { type CommandEnd, sparseFile, startImageCommand } from "../../../../support/image-command.js";
import { until } from "../../../../support/until.js";

const MIB = 2 ** 20;
const TIB = 2 ** 40;

let scratch = "";
/** Where a test's output goes: empty before each. */
let out = "";
const at = (name: string) => join(scratch, name);

function start(args: readonly string[], options: Parameters<typeof startImageCommand>[1] = {}) {
  return startImageCommand(args, { ...options, env: { TMPDIR: scratch, ...options.env } });
}

async function image(args: readonly string[], input?: Buffer): Promise<CommandEnd> {
  const { child, ended } = start(args, { stdin: input === undefined ? "ignore" : "pipe" });
  child.stdin?.end(input);
  return ended;
}

/** The same, and it must succeed without a word on stderr. */
async function done(args: readonly string[], input?: Buffer): Promise<Buffer> {
  const { status, stdout, stderr } = await image(args, input);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}

/** All at once: each must refuse with one line, and they leave nothing in the output folder. */
async function refusals(commands: readonly (readonly string[])[], input?: Buffer): Promise<string[]> {
  const ended = await Promise.all(commands.map((args) => image(args, input)));
  expect(readdirSync(out)).toEqual([]);
  return ended.map(({ status, stdout, stderr }) => {
    expect({ status, stdout: stdout.length }).toEqual({ status: 1, stdout: 0 });
    expect(stderr).toMatch(/^imagestore: [^\n]+\n$/);
    return stderr.slice("imagestore: ".length, -1);
  });
}

async function refusal(args: readonly string[], input?: Buffer): Promise<string> {
  const [line = ""] = await refusals([args], input);
  return line;
}

const allocated = (file: string) => statSync(file).blocks * 512;
/** Some bytes of a file. */
function partOf(path: string, offset: number): Buffer {
  const file = openSync(path, "r");
  const part = Buffer.alloc(4096);
  readSync(file, part, 0, part.length, offset);
  closeSync(file);
  return part;
}
const same = (a: string, b: string) => readFileSync(a).equals(readFileSync(b));

async function streamOf(
  file: string,
  toGuid: bigint,
  from?: { file: string; guid: bigint },
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  await sendVolume({
    file,
    ...(from ? { from: from.file } : {}),
    stream: {
      toName: `pool/volume@${toGuid}`,
      toGuid,
      fromGuid: from?.guid ?? 0n,
      creationTime: 1_700_000_000n,
      volsize: BigInt(statSync(file).size),
      volblocksize: 16384,
    },
    write: (chunk) => void pieces.push(Uint8Array.from(chunk)),
  });
  return Buffer.concat(pieces);
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-cli-"));
  out = at("out");
  sparseFile(at("disk.raw"), 24 * MIB, [
    [0, 4096],
    [5 * MIB + 512, 3 * MIB],
    [23 * MIB, MIB],
  ]);
  sparseFile(at("second.raw"), 24 * MIB, [[0, 100_000]]);
  sparseFile(at("third.raw"), 25 * MIB, [[20 * MIB, 100_000]]);
  const first = await streamOf(at("disk.raw"), 1n);
  writeFileSync(at("1.zfs"), first);
  writeFileSync(at("1.zfs.gz"), gzipSync(first, { level: 1 }));
  writeFileSync(at("1-2.zfs"), await streamOf(at("second.raw"), 2n, { file: at("disk.raw"), guid: 1n }));
  writeFileSync(at("2-3.zfs"), await streamOf(at("third.raw"), 3n, { file: at("second.raw"), guid: 2n }));
});
afterAll(() => {
  expect(readdirSync(scratch).filter((name) => name.startsWith("imagestore-"))).toEqual([]);
  rmSync(scratch, { recursive: true, force: true });
});
beforeEach(() => {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
});

describe("image pack", () => {
  test("to stdout, inspected and unpacked, gives the disk back, sparse", async () => {
    const stream = await done(["pack", at("disk.raw")]);
    expect((await done(["inspect", "-"], stream)).toString()).toMatch(/^name {8}image\/disk\.raw@image\n/);
    expect(await done(["unpack", "-", "-o", join(out, "back.raw")], stream)).toEqual(Buffer.alloc(0));
    expect(readdirSync(out)).toEqual(["back.raw"]);
    expect(same(at("disk.raw"), join(out, "back.raw"))).toBe(true);
    expect(allocated(join(out, "back.raw"))).toBeLessThan(6 * MIB);
  });

  test("to a file takes a name and a block size, and every guid is another", async () => {
    const pack = (file: string, ...more: string[]) => done(["pack", at("disk.raw"), "-o", file, ...more]);
    await pack(join(out, "a.zfs"), "--name", "tank/images/golden@v1", "--volblocksize", "4096");
    await pack(join(out, "b.zfs"));
    expect(readdirSync(out)).toEqual(["a.zfs", "b.zfs"]);
    const read = async (name: string) =>
      JSON.parse((await done(["inspect", "--json", join(out, name)])).toString()) as Record<string, unknown>;
    const [a, b] = [await read("a.zfs"), await read("b.zfs")];
    expect(a).toMatchObject({ name: "tank/images/golden@v1", volblocksize: 4096, fromGuid: null });
    expect(b).toMatchObject({ name: "image/disk.raw@image", volblocksize: 16384, volsize: 24 * MIB });
    expect(a.guid).not.toBe(b.guid);
    // Whole blocks around the data: 4096 bytes, 3 MiB that begin within a block, 1 MiB.
    expect(a.dataBytes).toBe(4096 + 3 * MIB + 4096 + MIB);
    expect(a.holeBytes).toBe(24 * MIB - (a.dataBytes as number));
  });

  test("takes a disk from a pipe and from a redirected file", async () => {
    await done(["pack", "-", "-o", join(out, "piped.zfs")], readFileSync(at("disk.raw")));
    const file = openSync(at("disk.raw"), "r");
    const redirected = await start(["pack", "-", "-o", join(out, "redirected.zfs")], { stdin: file }).ended;
    closeSync(file);
    expect(redirected.status).toBe(0);
    for (const name of ["piped", "redirected"]) {
      await done(["unpack", join(out, `${name}.zfs`), "-o", join(out, `${name}.raw`)]);
      expect(same(at("disk.raw"), join(out, `${name}.raw`))).toBe(true);
    }
  });

  test("does not read the holes of a sparse disk: of a file, a link to it, stdin, and what came by a pipe", async (context) => {
    const { blocks, bsize } = statfsSync(scratch);
    if (blocks * bsize * 64 < 4 * TIB) return context.skip("no file of 4 TiB is possible here");
    const disk = at("vast.raw");
    sparseFile(disk, 4 * TIB, [
      [0, 4096],
      [TIB + 4096, MIB],
      [4 * TIB - 8192, 8192],
    ]);
    const link = at("vast-link.raw");
    symlinkSync(disk, link);
    const file = openSync(disk, "r");
    const begun = performance.now();
    const streams = await Promise.all([
      done(["pack", disk]),
      done(["pack", link]),
      start(["pack", "-"], { stdin: file }).ended.then(({ stdout }) => stdout),
    ]);
    // At 4 GB/s the holes of each would take 18 minutes.
    expect(performance.now() - begun).toBeLessThan(30_000);
    closeSync(file);
    for (const stream of streams) {
      const path = join(out, "vast.zfs");
      writeFileSync(path, stream);
      const { dataBytes } = await inspectStream(await openStreamSource(path));
      expect(dataBytes).toBeGreaterThanOrEqual(MIB + 12_288);
      expect(dataBytes).toBeLessThan(2 * MIB);
      expect(stream.length).toBeLessThan(3 * MIB);
    }
    const back = join(out, "vast.raw");
    await done(["unpack", "-", "-o", back], streams[0]);
    expect(statSync(back).size).toBe(4 * TIB);
    for (const place of [0, TIB + 4096, 4 * TIB - 8192])
      expect(partOf(back, place)).toEqual(partOf(disk, place));
    rmSync(disk);
  });

  test("gives the same data of a sparse disk that came by a pipe", async () => {
    const disk = at("holes.raw");
    sparseFile(disk, 64 * MIB, [
      [5 * MIB, 4096],
      [50 * MIB + 512, MIB],
    ]);
    const back = join(out, "back.raw");
    await done(["unpack", "-", "-o", back], await done(["pack", "-"], readFileSync(disk)));
    expect(same(disk, back)).toBe(true);
    await done(["unpack", "-", "-o", back], await done(["pack", disk]));
    expect(same(disk, back)).toBe(true);
  });

  test("rounds the size up to whole MiB and says so", async () => {
    writeFileSync(at("odd.raw"), randomBytes(MIB + 1));
    const { status, stderr } = await image(["pack", at("odd.raw"), "-o", join(out, "odd.zfs")]);
    expect(status).toBe(0);
    expect(stderr).toBe(
      "imagestore: the disk has 1048577 bytes, the volume 2097152: whole MiB, the rest is zeros\n",
    );
    await done(["unpack", join(out, "odd.zfs"), "-o", join(out, "odd.raw")]);
    const back = readFileSync(join(out, "odd.raw"));
    expect(back.length).toBe(2 * MIB);
    expect(back.subarray(0, MIB + 1).equals(readFileSync(at("odd.raw")))).toBe(true);
    expect(back.subarray(MIB + 1).every((byte) => byte === 0)).toBe(true);
  });

  test("replaces a file but for its mode, and through a link the file it leads to", async () => {
    writeFileSync(join(out, "real.zfs"), "old", { mode: 0o600 });
    symlinkSync("real.zfs", join(out, "link.zfs"));
    await done(["pack", at("disk.raw"), "-o", join(out, "link.zfs")]);
    expect(readlinkSync(join(out, "link.zfs"))).toBe("real.zfs");
    const { size, mode } = statSync(join(out, "real.zfs"));
    expect(size).toBeGreaterThan(4 * MIB);
    expect(mode & 0o777).toBe(0o600);
  });

  test("ends with status 1 and without a word when the reader of stdout goes", async () => {
    sparseFile(at("long.raw"), 64 * MIB, [[0, 64 * MIB]]);
    const { child, ended } = start(["pack", at("long.raw")]);
    child.stdout?.once("data", () => child.stdout?.destroy());
    expect(await ended).toMatchObject({ status: 1, signal: null, stderr: "" });
    rmSync(at("long.raw"));
  });

  test("needs little memory, whatever the size", async () => {
    sparseFile(at("huge.raw"), 1024 * MIB, [
      [0, MIB],
      [512 * MIB, 100 * MIB],
    ]);
    // Not resourceUsage().maxRSS: that counts what our own process had when it forked.
    const peak = "/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status'))[1]";
    const hook = `data:text/javascript,import{readFileSync}from'node:fs';process.on('exit',()=>console.error(${peak}))`;
    const node = ["--import", hook];
    const packed = await start(["pack", at("huge.raw"), "-o", join(out, "huge.zfs")], { node }).ended;
    rmSync(at("huge.raw"));
    expect(packed.status).toBe(0);
    expect(Number(packed.stderr)).toBeGreaterThan(0);
    expect(Number(packed.stderr) / 1024).toBeLessThan(200);
  });

  test("refuses what it can't pack", async () => {
    const output = ["-o", join(out, "x.zfs")];
    writeFileSync(at("empty.raw"), "");
    linkSync(at("disk.raw"), at("hard.raw"));
    const itself = /is read, it can't be written too$/;
    const cases: [string[], RegExp][] = [
      [[at("nope"), ...output], /ENOENT.*nope/],
      [[scratch, ...output], /is neither a file nor a block device$/],
      [[at("empty.raw"), ...output], /^the disk is empty$/],
      [[at("disk.raw"), "--name", "p/../x@y", ...output], /^invalid name p\/..\/x@y: .*the component ".."$/],
      [[at("disk.raw"), "-o", join(out, "no", "x.zfs")], /ENOENT/],
      [[at("disk.raw"), "-o", "/dev/null"], /^\/dev\/null is no regular file, it can't be replaced$/],
      [[at("disk.raw"), "-o", at("disk.raw")], itself],
      [[at("disk.raw"), "-o", at("hard.raw")], itself],
    ];
    const lines = await refusals(cases.map(([args]) => ["pack", ...args]));
    for (const [index, [, reason]] of cases.entries()) expect(lines[index]).toMatch(reason);
    expect(await refusal(["pack", "-", ...output], Buffer.alloc(0))).toBe("the disk is empty");
    expect(statSync(at("disk.raw")).size).toBe(24 * MIB);
  });

  /** A file with `magic` at a place of it, as `image pack` must not take it for a disk. */
  function foreign(name: string, magic: Buffer | string, place = 0): string {
    const bytes = Buffer.alloc(MIB);
    bytes.set(Buffer.from(magic), place < 0 ? bytes.length + place : place);
    writeFileSync(at(name), bytes);
    return at(name);
  }

  test.each([
    [
      "text.vmdk",
      "# Disk DescriptorFile\n",
      "the descriptor of a VMDK image",
      "qemu-img convert -f vmdk -O raw",
    ],
    ["disk.raw.gz", Buffer.from("1f8b08", "hex"), "gzipped", "gunzip -c"],
    ["disk.raw.xz", Buffer.from("fd377a585a00", "hex"), "compressed by xz", "xz -dc"],
    ["disk.raw.zst", Buffer.from("28b52ffd", "hex"), "compressed by zstd", "zstd -dc"],
  ] as const)("refuses %s and says what makes a raw disk of it", async (name, magic, kind, command) => {
    const file = foreign(name, magic);
    const line = await refusal(["pack", file, "-o", join(out, "x.zfs")]);
    expect(line).toBe(
      `${file} is ${kind} and no raw disk. Convert it first: ${command} ${file} ${command.endsWith("raw") ? "" : "> "}disk.raw`,
    );
    const piped = await refusal(["pack", "-", "-o", join(out, "x.zfs")], readFileSync(file));
    expect(piped).toContain(`stdin is ${kind} and no raw disk. Convert it first: ${command} FILE `);
    expect(readdirSync(out)).toEqual([]);
  });

  test.each([
    ["disk.qcow2", Buffer.from("514649fb00000003", "hex"), 0, "a qcow2 image", "qcow2"],
    ["disk.qed", "QED\0", 0, "a QED image", "qed"],
    ["disk.vmdk", "KDMV", 0, "a VMDK image", "vmdk"],
    ["old.vmdk", "COWD", 0, "a VMDK image", "vmdk"],
    ["disk.vhdx", "vhdxfile", 0, "a VHDX image", "vhdx"],
    ["disk.vhd", "conectix", 0, "a VHD image", "vpc"],
    ["fixed.vhd", "conectix", -512, "a VHD image of fixed size", "vpc"],
    ["disk.vdi", Buffer.from("7f10dabe", "hex"), 64, "a VirtualBox image", "vdi"],
  ] as const)(
    "says of %s what to install where there is no qemu-img",
    async (name, magic, place, kind, driver) => {
      const file = foreign(name, magic, place);
      // A folder without any program.
      const { status, stdout, stderr } = await start(["pack", file], { env: { PATH: out } }).ended;
      expect({ status, stdout: stdout.length }).toEqual({ status: 1, stdout: 0 });
      expect(stderr).toBe(
        `imagestore: ${file} is ${kind}, and qemu-img is not installed. Install it (Debian: apt-get install qemu-utils), or convert the image elsewhere: qemu-img convert -f ${driver} -O raw ${file} disk.raw\n`,
      );
    },
  );

  test("takes a disk whose other bytes look like those of another format", async () => {
    for (const place of [1, 512, MIB / 2, -511, -8]) {
      await done(["pack", foreign("disk-with-words.raw", "conectix", place), "-o", join(out, "x.zfs")]);
    }
  });

  test("takes the rest of a stdin of which others have read a part", async () => {
    const disk = Buffer.concat([Buffer.from("QFI\xfb header", "latin1"), randomBytes(MIB)]);
    writeFileSync(at("offset.raw"), disk);
    // Without qemu-img, a qcow2 image can't be taken for anything else.
    const env = { PATH: out };
    const pack = async (skip: number, name: string) => {
      const file = openSync(at("offset.raw"), "r");
      readSync(file, Buffer.alloc(skip), 0, skip, null);
      const ended = await start(["pack", "-", "-o", join(out, name)], { stdin: file, env }).ended;
      closeSync(file);
      return ended;
    };
    expect((await pack(0, "x.zfs")).stderr).toContain("stdin is a qcow2 image, and qemu-img");
    const { status, stderr } = await pack(disk.length - MIB, "rest.zfs");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    await done(["unpack", join(out, "rest.zfs"), "-o", join(out, "rest.raw")]);
    expect(readFileSync(join(out, "rest.raw")).equals(disk.subarray(-MIB))).toBe(true);
    writeFileSync(
      at("offset.raw"),
      Buffer.concat([randomBytes(100), Buffer.from("514649fb", "hex"), Buffer.alloc(MIB)]),
    );
    expect((await pack(100, "x.zfs")).stderr).toContain("stdin is a qcow2 image, and qemu-img");
    expect(readdirSync(out).sort()).toEqual(["rest.raw", "rest.zfs"]);
  });

  test.each(["256", "1000", "262144"])("refuses a volblocksize of %s", async (bytes) => {
    const { status, stderr } = await image(["pack", at("disk.raw"), `--volblocksize=${bytes}`]);
    expect(status).toBe(1);
    expect(stderr).toContain("must be a power of two from 512 to 131072");
  });

  test("makes a name that zfs takes of any file name", () => {
    expect(streamName("/x/disk.raw", undefined)).toBe("image/disk.raw@image");
    expect(streamName("/x/my disk (1).raw", undefined)).toBe("image/my-disk--1-.raw@image");
    expect(streamName("-", undefined)).toBe("image/stdin@image");
    expect(streamName("-", "p/a/b@c")).toBe("p/a/b@c");
    for (const bad of ["p@s", "p/v", "p/v@", "p/v@a@b", "/v@s", "p//v@s", "p/v@s/t", "mirror/v@s"]) {
      expect(() => streamName("-", bad), bad).toThrow(/^invalid name /);
    }
    expect(() => streamName("x".repeat(255), undefined)).toThrow("more than 255 bytes");
  });
});

describe("image inspect", () => {
  test("prints what a full stream holds, gzipped or not", async () => {
    const plain = await done(["inspect", at("1.zfs")]);
    expect(plain.toString()).toBe(
      [
        "name        pool/volume@1",
        "guid        1",
        "from guid   none, a full stream",
        "created     2023-11-14T22:13:20.000Z",
        "size        25165824 bytes, 24 MiB",
        "block size  16384 bytes",
        "features    none",
        "byte order  little",
        "records     BEGIN 1, OBJECT 2, FREE 2, WRITE 259, FREEOBJECTS 1, END 1",
        "data        4227072 bytes",
        "holes       20938752 bytes",
        "stream      4310576 bytes, all checksums right",
        "",
      ].join("\n"),
    );
    expect((await done(["inspect", at("1.zfs.gz")])).equals(plain)).toBe(true);
    expect((await done(["inspect", "-"], readFileSync(at("1.zfs.gz")))).equals(plain)).toBe(true);
  });

  test("prints of an incremental what it frees, and its guids whole", async () => {
    const read = async (name: string) =>
      JSON.parse((await done(["inspect", "--json", at(name)])).toString()) as Record<string, unknown>;
    expect(await read("1-2.zfs")).toMatchObject({
      guid: "2",
      fromGuid: "1",
      volsize: 24 * MIB,
      dataBytes: 7 * 16384,
      holeBytes: 3 * MIB + 16384 + MIB,
      recordCounts: { BEGIN: 1, END: 1, FREE: 4 },
    });
  });
});

describe("image unpack", () => {
  test("applies incrementals on top of a full stream, also of another size", async () => {
    const back = join(out, "back.raw");
    await done(["unpack", at("1.zfs.gz"), at("1-2.zfs"), "-o", back]);
    expect(same(at("second.raw"), back)).toBe(true);
    await done(["unpack", at("1.zfs"), at("1-2.zfs"), "-", "-o", back], readFileSync(at("2-3.zfs")));
    expect(same(at("third.raw"), back)).toBe(true);
    expect(readdirSync(out)).toEqual(["back.raw"]);
  });

  test("refuses streams that don't follow one another", async () => {
    const unpack = (...names: string[]) => refusal(["unpack", ...names.map(at), "-o", join(out, "x.raw")]);
    expect(await unpack("1-2.zfs")).toBe(
      `${at("1-2.zfs")}: an incremental stream from guid 1, name the streams it builds on before it`,
    );
    expect(await unpack("1.zfs", "2-3.zfs")).toBe(
      `${at("2-3.zfs")}: it builds on guid 2, but the stream before it ends in 1 (pool/volume@1)`,
    );
    expect(await unpack("1.zfs", "1.zfs")).toBe(`${at("1.zfs")}: a full stream, it can only be the first`);
    expect(await refusal(["unpack", "-", "-", "-o", join(out, "x.raw")])).toBe("stdin can be read only once");
  });

  test("needs an output", async () => {
    const { status, stderr } = await image(["unpack", at("1.zfs")]);
    expect(status).toBe(1);
    expect(stderr).toContain("required option '-o, --output <file>' not specified");
  });

  test("never replaces the disk that is there by half of another", async () => {
    writeFileSync(join(out, "kept.raw"), "the old one");
    const { status } = await image(["unpack", at("1.zfs"), at("2-3.zfs"), "-o", join(out, "kept.raw")]);
    expect(status).toBe(1);
    expect(readdirSync(out)).toEqual(["kept.raw"]);
    expect(readFileSync(join(out, "kept.raw"), "latin1")).toBe("the old one");
  });
});

describe("a bad stream is refused with its kind, the place and the reason", () => {
  const whole = () => readFileSync(at("1.zfs"));
  const zipped = () => readFileSync(at("1.zfs.gz"));
  const flipped = (offset: number) => {
    const stream = whole();
    stream[offset] = (stream[offset] ?? 0) ^ 1;
    return stream;
  };

  test.each<[string, () => Buffer, RegExp]>([
    ["cut short", () => whole().subarray(0, 2_000_000), /^cut short at byte 2000000: /],
    ["with a bit flipped", () => flipped(100_000), /^damaged at byte \d+: the checksum of/],
    ["of something else", () => randomBytes(5_000), /^not a ZFS stream at byte 0: /],
  ])("%s, by inspect and unpack, in one line and with status 1", async (_what, stream, reason) => {
    writeFileSync(at("bad.zfs"), stream());
    const [inspected = "", unpacked] = await refusals([
      ["inspect", at("bad.zfs")],
      ["unpack", at("bad.zfs"), "-o", join(out, "x.raw")],
    ]);
    const named = `${at("bad.zfs")}: `;
    expect(inspected).toBe(unpacked);
    expect(inspected.slice(0, named.length)).toBe(named);
    expect(inspected.slice(named.length)).toMatch(reason);
    expect(await refusal(["inspect", "-"], stream())).toBe(`stdin: ${inspected.slice(named.length)}`);
  });

  test.each<[string, () => Buffer, RegExp]>([
    ["empty", () => Buffer.alloc(0), /^cut short at byte 0: /],
    ["of one byte of something else", () => Buffer.from("x"), /^not a ZFS stream at byte 0: /],
    [
      "with more behind it",
      () => Buffer.concat([whole(), Buffer.from("x")]),
      /^damaged at byte 4310576: data/,
    ],
    ["of gzipped nothing", () => gzipSync(""), /^cut short at byte 0: /],
    ["of gzip's first byte", () => Buffer.from([0x1f]), /^not a ZFS stream at byte 0: /],
    [
      "of gzip's magic",
      () => Buffer.from([0x1f, 0x8b]),
      /^cut short at byte 0: its gzip data ends too early$/,
    ],
    [
      "cut short in gzip",
      () => zipped().subarray(0, 2_000_000),
      /^cut short at byte \d+: its gzip data ends/,
    ],
    ["cut short, then gzipped", () => gzipSync(whole().subarray(0, 700_000)), /^cut short at byte 700000: /],
    ["gzipped and damaged", () => zipped().fill(0xff, 1_000_000, 1_000_400), /^damaged at byte \d+: /],
  ])("%s", async (_what, stream, reason) => {
    writeFileSync(at("bad.zfs"), stream());
    const inspected = inspectStream(openStreamSource(at("bad.zfs")));
    await expect(inspected).rejects.toThrow(StreamFailure);
    await expect(inspected).rejects.toThrow(reason);
  });
});

describe("a run that is killed leaves no file in the place of its output", () => {
  const partial = () => readdirSync(out).filter((name) => /^\.imagestore-\w+\.partial$/.test(name));

  test.each([
    ["SIGTERM", 0],
    ["SIGINT", 0],
    ["SIGKILL", 1],
  ] as const)("%s, and of the temporary file %i", async (signal, left) => {
    const { child, ended } = start(["unpack", "-", "-o", join(out, "x.raw")], { stdin: "pipe" });
    child.stdin?.write(readFileSync(at("1.zfs")).subarray(0, 3_000_000));
    await until("data is in the temporary file", () => {
      const [name] = partial();
      return name !== undefined && statSync(join(out, name)).size > 0;
    });
    child.kill(signal);
    expect(await ended).toMatchObject({ signal, stderr: "" });
    expect(readdirSync(out)).toEqual(partial());
    expect(partial().length).toBe(left);
  });

  test("a pack that is ended neither", async () => {
    truncateSync(at("second.raw"), 24 * MIB);
    sparseFile(at("endless.raw"), 256 * 1024 * MIB, [[0, MIB]]);
    const { child, ended } = start(["pack", at("endless.raw"), "-o", join(out, "x.zfs")]);
    await until("it has begun", () => partial().length === 1);
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ signal: "SIGTERM", stderr: "" });
    expect(readdirSync(out)).toEqual([]);
    rmSync(at("endless.raw"));
  });
});

describe("image serve", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "says where it is, serves, and ends with 0 on %s",
    async (signal) => {
      const { child, ended } = start(["serve", scratch, "--port", "0"]);
      const line = await new Promise<string>((resolve, reject) => {
        child.stdout?.once("data", (piece: Buffer) => resolve(piece.toString()));
        void ended.then(({ stderr }) => reject(new Error(stderr)));
      });
      const [, origin] =
        /^imagestore image service on (http:\/\/127\.0\.0\.1:\d+), \d+ images in /.exec(line) ?? [];
      const reply = await request(`${origin}/images/1/download`);
      const body = Buffer.from(await reply.body.arrayBuffer());
      expect(createHash("sha256").update(body).digest("base64")).toBe(
        createHash("sha256")
          .update(readFileSync(at("1.zfs")))
          .digest("base64"),
      );
      // One more that is not read to its end must not hold it up.
      const unread = await request(`${origin}/images/disk.raw/download`);
      unread.body.on("error", () => {});
      child.kill(signal);
      expect(await ended).toMatchObject({ status: 0, signal: null, stderr: "" });
      unread.body.destroy();
    },
  );

  test("says in one line why it can't", async () => {
    expect(await refusal(["serve", at("nope"), "-p", "0"])).toMatch(/^no folder of images: ENOENT/);
    const { child, ended } = start(["serve", scratch, "-p", "0"]);
    const port = await new Promise<string>((resolve) => {
      child.stdout?.once("data", (piece: Buffer) => resolve(/:(\d+),/.exec(piece.toString())?.[1] ?? ""));
    });
    expect(await refusal(["serve", scratch, "-p", port])).toBe(
      `port ${port} of 127.0.0.1 is in use, choose another with --port`,
    );
    child.kill("SIGTERM");
    expect((await ended).status).toBe(0);
  });

  test.each(["", "65536", "1e3"])("refuses %j as a port", async (port) => {
    const { status, stderr } = await image(["serve", scratch, `--port=${port}`]);
    expect(status).toBe(1);
    expect(stderr).toContain("must be a number from 0 to 65535");
  });
});
