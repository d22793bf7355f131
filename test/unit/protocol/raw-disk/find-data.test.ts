import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startReadingIn } from "../../../../src/main/commands/image/disk-data.js";
import { openDirect } from "../../../../src/protocol/raw-disk/direct-reads.js";
import { findData } from "../../../../src/protocol/raw-disk/find-data.js";
import { neededFileBytes, parseQemuMap } from "../../../../src/protocol/raw-disk/qemu-map.js";
import { sparseFile, startImageCommand } from "../../../support/image-command.js";
import { whyNoQemu } from "../../../support/qemu.js";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

let scratch = "";
const at = (name: string) => join(scratch, name);
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-find-"));
  sparseFile(at("sparse"), 256 * MIB, [
    [0, MIB],
    [100 * MIB, MIB],
    [255 * MIB, MIB],
  ]);
  sparseFile(at("full"), 8 * MIB, [[0, 8 * MIB]]);
  sparseFile(at("empty"), GIB, []);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Starts what is in the folder `bin`, and keeps the names of what was started. */
function starter(bin: string) {
  const started: string[] = [];
  return {
    started,
    start: (argv: readonly string[]) => {
      started.push(...argv.slice(0, 1));
      return startReadingIn({ ...process.env, PATH: bin }, argv);
    },
  };
}

/** A folder with the real ones of some programs, and with scripts. */
function programs(name: string, real: readonly string[], scripts: Readonly<Record<string, string>> = {}) {
  const folder = at(name);
  mkdirSync(folder);
  for (const program of real) {
    const path = (process.env.PATH ?? "").split(":").find((each) => existsSync(join(each, program)));
    if (path !== undefined) symlinkSync(join(path, program), join(folder, program));
  }
  for (const [program, script] of Object.entries(scripts)) {
    writeFileSync(join(folder, program), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, program), 0o755);
  }
  return folder;
}

const RANGES = [
  { start: 0, end: MIB },
  { start: 100 * MIB, end: 101 * MIB },
  { start: 255 * MIB, end: 256 * MIB },
];

describe("where the data of a file is, is told", () => {
  test("without any program, if it is nothing, or hardly less than all", async () => {
    const { start, started } = starter(scratch);
    expect(await findData(at("empty"), start)).toEqual([]);
    expect(await findData(at("full"), start)).toBeUndefined();
    expect(started).toEqual([]);
  });

  test("by tar", async () => {
    const { start, started } = starter(programs("with-tar", ["tar", "qemu-img"]));
    expect(await findData(at("sparse"), start)).toEqual(RANGES);
    expect(started).toEqual(["tar"]);
  });

  test.each([
    ["there is no tar", {}],
    ["tar knows no sparse files", { tar: "echo 'tar: unknown option' >&2; exit 1" }],
    ["tar writes an archive without a map", { tar: "head -c 10240 /dev/zero" }],
    ["tar is killed", { tar: "kill -9 $$" }],
  ])("by qemu-img, where %s", async (name, scripts) => {
    const missing = whyNoQemu();
    const bin = programs(`qemu ${name}`, ["qemu-img", "head"], scripts);
    const { start, started } = starter(bin);
    expect(await findData(at("sparse"), start)).toEqual(missing === undefined ? RANGES : undefined);
    expect(started).toEqual(["tar", "qemu-img"]);
  });

  test.each([
    ["there is none of both", {}],
    ["qemu-img is killed", { "qemu-img": "kill -9 $$" }],
    ["qemu-img prints half a map", { "qemu-img": `echo '[{"start":0,"length":4096,"zero":false},'` }],
    ["qemu-img prints the map of a part", { "qemu-img": `echo '[{"start":0,"length":4096,"zero":true}]'` }],
  ])("by nothing, so that all of it is read, where %s", async (name, scripts) => {
    const { start, started } = starter(programs(`none ${name}`, [], scripts));
    expect(await findData(at("sparse"), start)).toBeUndefined();
    expect(started).toEqual(["tar", "qemu-img"]);
  });
});

describe("the map of qemu-img", () => {
  const extents = [
    { start: 0, length: 65536, depth: 0, present: true, zero: false, data: true, offset: 327680 },
    { start: 65536, length: 5 * MIB, depth: 0, present: false, zero: true, data: false },
    {
      start: 5 * MIB + 65536,
      length: 65536,
      depth: 0,
      present: true,
      zero: false,
      data: true,
      compressed: true,
    },
    {
      start: 5 * MIB + 131072,
      length: 65536,
      depth: 0,
      present: true,
      zero: true,
      data: false,
      offset: 999_999_999,
    },
  ];

  test("says where there may be data, and how long its file has to be", () => {
    expect(parseQemuMap(JSON.stringify(extents), 5 * MIB)).toEqual([
      { start: 0, end: 65536 },
      { start: 5 * MIB + 65536, end: 5 * MIB + 131072 },
    ]);
    expect(neededFileBytes(JSON.stringify(extents))).toBe(327680 + 65536);
  });

  test.each([
    ["no JSON", "[{"],
    ["no list", "{}"],
    ["an extent without a start", JSON.stringify([{ length: 5, zero: true }])],
    ["an extent that says nothing of zeros", JSON.stringify([{ start: 0, length: 5 }])],
    ["an extent of another kind", "[5]"],
    ["a gap", JSON.stringify([extents[0], extents[2]])],
    ["less than the disk", JSON.stringify(extents.slice(0, 2))],
    ["nothing", "[]"],
  ])("is none where there is %s", (_what, text) => {
    expect(parseQemuMap(text, 100 * MIB)).toBeUndefined();
  });
});

describe("what image pack reads of a disk of 4 GiB with 64 MiB of data", () => {
  const disk = () => at("large.raw");
  beforeAll(() => {
    sparseFile(
      disk(),
      4 * GIB,
      Array.from({ length: 16 }, (_, index) => [index * 256 * MIB, 4 * MIB] as const),
    );
  });

  /** The bytes that it read by read(2) and its like, and the calls of those and of write(2); for code and libraries too. */
  async function costOf(
    path: string,
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ bytes: number; calls: number }> {
    const hook = `data:text/javascript,import{readFileSync}from'node:fs';process.on('exit',()=>console.error(readFileSync('/proc/self/io','utf8')))`;
    const { status, stderr } = await startImageCommand(["pack", path, "-o", at("large.zfs")], {
      node: ["--import", hook],
      env,
    }).ended;
    expect(status).toBe(0);
    const count = (name: string) => Number(new RegExp(`${name}: (\\d+)`).exec(stderr)?.[1]);
    return { bytes: count("rchar"), calls: count("syscr") + count("syscw") };
  }

  test("is its data, and nothing of its holes", async () => {
    const { bytes } = await costOf(disk());
    expect(bytes).toBeGreaterThan(64 * MIB);
    expect(bytes).toBeLessThan(80 * MIB);
  });

  test("is all of it where nothing tells its holes, past the page cache", async () => {
    const { bytes } = await costOf(disk(), { PATH: programs("no-programs", []) });
    expect(bytes).toBeGreaterThan(4 * GIB);
    expect(bytes).toBeLessThan(4 * GIB + 16 * MIB);
  });

  test("takes no more than two calls for a hole", async () => {
    const more = Array.from({ length: 64 }, (_, index) => [index * 64 * MIB, MIB] as const);
    sparseFile(at("more-holes.raw"), 4 * GIB, more);
    const few = await costOf(disk());
    const many = await costOf(at("more-holes.raw"));
    expect((many.calls - few.calls) / 48).toBeLessThanOrEqual(2);
  });
});

describe("direct reads", () => {
  test("give what is in a file, in memory that they can be made into", async (context) => {
    const direct = await openDirect(at("full"), 8 * MIB);
    if (!direct) return context.skip("the file system of $TMPDIR has no direct reads");
    await using file = direct.file;
    const { buffer } = await file.read(direct.allocate(MIB), 0, MIB, MIB);
    expect(buffer.equals(readFileSync(at("full")).subarray(MIB, 2 * MIB))).toBe(true);
  });

  test("are not made of a file whose end is no whole block, or whose file system has none", async () => {
    expect(await openDirect(at("full"), 8 * MIB - 512)).toBeUndefined();
    expect(await openDirect("/proc/version", 4096)).toBeUndefined();
    await expect(openDirect(at("none"), 4096)).rejects.toThrow(/ENOENT/);
  });

  test.each([0, 512])(
    "or others give the same disk where nothing tells its holes, with %i bytes more",
    async (more) => {
      const size = 128 * MIB + more;
      sparseFile(at("odd"), size, [[50 * MIB, MIB]]);
      truncateSync(at("odd"), size);
      for (const [name, env] of [
        ["with", {}],
        ["without", { PATH: at("with-tar/none") }],
      ] as const) {
        const packed = startImageCommand(["pack", at("odd"), "-o", at(`${name}.zfs`)], { env });
        expect((await packed.ended).status).toBe(0);
        const unpacked = startImageCommand(["unpack", at(`${name}.zfs`), "-o", at(`${name}.raw`)]);
        expect((await unpacked.ended).status).toBe(0);
        expect(
          readFileSync(at(`${name}.raw`))
            .subarray(0, size)
            .equals(readFileSync(at("odd"))),
        ).toBe(true);
      }
    },
  );
});
