import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { StreamFailure } from "../../src/protocol/zfs-stream/stream-failure.js";
import { createVolumeReader, type VolumeEvent } from "../../src/protocol/zfs-stream/volume-reader.js";
import { createVolumeWriter, type VolumeStreamOptions } from "../../src/protocol/zfs-stream/volume-writer.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "codec";
const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const BLOCK = 16 * KIB;

/** Runs a command in the VM with bytes for its input. */
function run(running: Vm, command: readonly string[], input: Uint8Array | "" = "") {
  const { status, stdout, stderr } = spawnSync(running.exec, command, {
    env: { ...process.env, OPENZFS_VM_RUN: running.run },
    input,
    maxBuffer: 256 * MIB,
  });
  return { status, stdout, stderr: stderr.toString() };
}

function must(running: Vm, command: readonly string[], input: Uint8Array | "" = ""): Buffer {
  const { status, stdout, stderr } = run(running, command, input);
  if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

interface Streamed {
  readonly events: readonly VolumeEvent[];
  readonly counts: Readonly<Record<string, number>>;
  readonly features: readonly string[];
}

/** Reads a stream in chunks as a pipe gives them. */
function read(stream: Uint8Array): Streamed {
  const reader = createVolumeReader();
  const events: VolumeEvent[] = [];
  for (let at = 0; at < stream.length; at += 64 * KIB) {
    for (const event of reader.push(stream.subarray(at, at + 64 * KIB))) events.push(event);
  }
  reader.finish();
  const first = events[0];
  return {
    events,
    counts: reader.recordCounts,
    features: first?.kind === "begin" ? first.begin.features : [],
  };
}

function applied({ events }: Streamed, before: Uint8Array = new Uint8Array(0)): Uint8Array {
  const size = events.find((event) => event.kind === "size");
  const volume = new Uint8Array(size ? Number(size.volsize) : before.length);
  volume.set(before.subarray(0, volume.length));
  for (const event of events) {
    if (event.kind === "free") volume.fill(0, event.offset, event.offset + event.length);
    if (event.kind === "write") {
      volume.set(event.data.subarray(0, Math.max(0, volume.length - event.offset)), event.offset);
    }
  }
  return volume;
}

function problemOf(stream: Uint8Array): StreamFailure {
  try {
    read(stream);
  } catch (error) {
    if (error instanceof StreamFailure) return error;
    throw error;
  }
  throw new Error("the stream was taken");
}

describe.skipIf("skip" in vm)("streams of volumes and OpenZFS", () => {
  const running = vm as Vm;
  const device = (name: string) => `/dev/zvol/${POOL}/${name}`;
  const createVolume = (name: string, size: number, ...properties: string[]) => {
    const options = properties.flatMap((property) => ["-o", property]);
    must(running, ["zfs", "create", "-s", "-V", String(size), ...options, `${POOL}/${name}`]);
    awaitDevice(name);
  };
  const awaitDevice = (name: string) =>
    must(running, ["sh", "-c", `until [ -b ${device(name)} ]; do sleep 0.1; done`]);
  const put = (name: string, offset: number, data: Uint8Array) => {
    const seek = offset / (4 * KIB);
    must(
      running,
      ["sh", "-c", `dd of=${device(name)} bs=4k seek=${seek} conv=fsync iflag=fullblock 2>/dev/null`],
      data,
    );
  };
  const snapshot = (name: string) => must(running, ["zfs", "snapshot", `${POOL}/${name}`]);
  const send = (...args: string[]) => must(running, ["zfs", "send", ...args]);
  const deviceSha = (name: string) =>
    must(running, ["sha256sum", device(name)])
      .toString()
      .slice(0, 64);
  const property = (name: string, which: string) =>
    vmExec(running, ["zfs", "get", "-Hp", "-o", "value", which, `${POOL}/${name}`]).trim();

  const lines = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join(""));
  const whole = (bytes: Uint8Array, unit: number) => {
    const padded = new Uint8Array(Math.ceil(bytes.length / unit) * unit);
    padded.set(bytes);
    return padded;
  };
  let shaAtA: string;
  let shaAtB: string;

  beforeAll(() => {
    createPool(running, POOL, "/dev/vdk");
    createVolume("v", 8 * MIB, `volblocksize=${BLOCK}`, "compression=lz4");
    put("v", 0, randomBytes(192 * KIB));
    put("v", 640 * KIB, whole(lines, BLOCK));
    put("v", 100 * BLOCK, whole(Buffer.from("few bytes are embedded"), BLOCK));
    put("v", 8 * MIB - BLOCK, randomBytes(BLOCK));
    shaAtA = deviceSha("v");
    snapshot("v@a");
    put("v", 300 * BLOCK, randomBytes(2 * BLOCK));
    must(running, ["blkdiscard", "-o", String(64 * KIB), "-l", String(64 * KIB), device("v")]);
    must(running, ["zfs", "set", `volsize=${9 * MIB}`, `${POOL}/v`]);
    put("v", 9 * MIB - BLOCK, randomBytes(BLOCK));
    shaAtB = deviceSha("v");
    snapshot("v@b");
  });
  afterAll(() => {
    destroyPool(running, POOL);
  });

  describe("reading what zfs send writes", () => {
    const embedding = ["embed_data", "lz4"];
    // Of blocks of 16 KiB, -L makes no difference.
    test.each([
      { options: "", features: [] },
      { options: "-c", features: ["lz4", "compressed"] },
      { options: "-L", features: [] },
      { options: "-e", features: embedding },
      { options: "-c -L -e", features: [...embedding, "compressed"] },
    ])("full, with options $options", ({ options, features }) => {
      const streamed = read(send(...options.split(" ").filter(Boolean), `${POOL}/v@a`));
      expect(streamed.features).toEqual(features);
      expect("WRITE_EMBEDDED" in streamed.counts).toBe(options.includes("-e"));
      expect(streamed.events[0]).toMatchObject({
        begin: {
          toName: `${POOL}/v@a`,
          toGuid: BigInt(property("v@a", "guid")),
          fromGuid: 0n,
          creationTime: BigInt(property("v@a", "creation")),
          isClone: false,
        },
      });
      expect(streamed.events[1]).toEqual({ kind: "blocksize", volblocksize: BLOCK });
      expect(sha256(applied(streamed))).toBe(shaAtA);
    });

    test.each(["", "-c -L -e"])("incremental, with options '%s'", (options) => {
      const args = options.split(" ").filter(Boolean);
      const base = applied(read(send(`${POOL}/v@a`)));
      const streamed = read(send(...args, "-i", "@a", `${POOL}/v@b`));
      expect(streamed.events[0]).toMatchObject({ begin: { fromGuid: BigInt(property("v@a", "guid")) } });
      expect(streamed.events).toContainEqual({ kind: "size", volsize: BigInt(9 * MIB) });
      expect(sha256(applied(streamed, base))).toBe(shaAtB);
    });

    test("incremental of a clone, which says no size again", () => {
      const base = applied(read(send(`${POOL}/v@a`)));
      must(running, ["zfs", "clone", `${POOL}/v@a`, `${POOL}/clone`]);
      awaitDevice("clone");
      put("clone", 5 * BLOCK, randomBytes(BLOCK));
      snapshot("clone@c");
      const streamed = read(send("-i", `${POOL}/v@a`, `${POOL}/clone@c`));
      expect(streamed.events[0]).toMatchObject({ begin: { isClone: true } });
      expect(streamed.events.some(({ kind }) => kind === "size")).toBe(false);
      expect(sha256(applied(streamed, base))).toBe(deviceSha("clone"));
    });

    test("blocks of 1 MiB, whole with -L and in pieces without", () => {
      createVolume("large", 8 * MIB, "volblocksize=1M", "compression=lz4");
      put("large", MIB, whole(lines, MIB));
      put("large", 5 * MIB, randomBytes(MIB));
      snapshot("large@s");
      const sha = deviceSha("large");
      for (const [options, blockBytes] of [
        [["-L", "-c"], MIB],
        [["-L"], MIB],
        [[], 128 * KIB],
      ] as const) {
        const streamed = read(send(...options, `${POOL}/large@s`));
        expect(streamed.features.includes("large_blocks")).toBe(blockBytes === MIB);
        expect(streamed.events[1]).toEqual({ kind: "blocksize", volblocksize: blockBytes });
        expect(sha256(applied(streamed))).toBe(sha);
      }
    });

    test("gzip inside of -c", () => {
      createVolume("gzip", 4 * MIB, "compression=gzip-6");
      put("gzip", MIB, whole(lines, BLOCK));
      snapshot("gzip@s");
      const stream = send("-c", `${POOL}/gzip@s`);
      expect(stream.length).toBeLessThan(lines.length);
      expect(sha256(applied(read(stream)))).toBe(deviceSha("gzip"));
    });

    test("1 GiB with three blocks in it", () => {
      createVolume("sparse", GIB, `volblocksize=${BLOCK}`);
      const places = [0, 512 * MIB + 3 * BLOCK, GIB - BLOCK];
      const blocks = places.map(() => randomBytes(BLOCK));
      for (const [index, place] of places.entries()) put("sparse", place, blocks[index] as Buffer);
      snapshot("sparse@s");
      const stream = send(`${POOL}/sparse@s`);
      expect(stream.length).toBeLessThan(MIB);
      const { events } = read(stream);
      expect(events).toContainEqual({ kind: "size", volsize: BigInt(GIB) });
      const written = events.filter((event) => event.kind === "write");
      expect(written.map(({ offset }) => offset)).toEqual(places);
      expect(written.map(({ data }) => sha256(data))).toEqual(blocks.map(sha256));
    });

    test("what isn't read is refused by its name", () => {
      must(running, ["zfs", "create", `${POOL}/files`]);
      snapshot("files@s");
      createVolume("zstd", 4 * MIB, "compression=zstd");
      put("zstd", 0, whole(lines, BLOCK));
      snapshot("zstd@s");
      must(
        running,
        [
          "zfs",
          "create",
          "-s",
          "-V",
          "4M",
          "-o",
          "encryption=on",
          "-o",
          "keyformat=passphrase",
          `${POOL}/secret`,
        ],
        Buffer.from("correct horse\ncorrect horse\n"),
      );
      snapshot("secret@s");
      const refused: [string[], string][] = [
        [["-R", `${POOL}/v@b`], "a package"],
        [["-I", "@a", `${POOL}/v@b`], "a package"],
        [["-p", `${POOL}/v@a`], "a package"],
        [[`${POOL}/files@s`], "a filesystem's"],
        [["-w", `${POOL}/secret@s`], "raw, encrypted"],
        [["-c", `${POOL}/zstd@s`], "compressed with zstd"],
      ];
      for (const [args, reason] of refused) {
        const problem = problemOf(send(...args));
        expect(problem).toMatchObject({ kind: "unsupported" });
        expect(problem.message).toContain(reason);
      }
      // The same data is read where the stream has another form.
      expect(sha256(applied(read(send(`${POOL}/zstd@s`))))).toBe(deviceSha("zstd"));
    });

    test("redacted and resumed streams are refused from their first record", () => {
      must(running, ["zfs", "clone", `${POOL}/v@a`, `${POOL}/redaction`]);
      awaitDevice("redaction");
      put("redaction", 0, new Uint8Array(BLOCK));
      snapshot("redaction@r");
      must(running, ["zfs", "redact", `${POOL}/v@a`, "book", `${POOL}/redaction@r`]);
      const redacted = problemOf(send("--redact", "book", `${POOL}/v@a`));
      expect(redacted).toMatchObject({ kind: "unsupported", offset: 0 });
      expect(redacted.message).toContain("redacted");

      const part = send(`${POOL}/v@a`).subarray(0, 150_000);
      expect(run(running, ["zfs", "receive", "-s", `${POOL}/part`], part).status).not.toBe(0);
      const resumed = problemOf(send("-t", property("part", "receive_resume_token")));
      expect(resumed).toMatchObject({ kind: "unsupported", offset: 0 });
      expect(resumed.message).toContain("continues an interrupted transfer");
    });
  });

  describe("writing what zfs receive takes", () => {
    const base: VolumeStreamOptions = {
      toName: "elsewhere/disk@one",
      toGuid: 0x1111_2222_3333_4444n,
      fromGuid: 0n,
      creationTime: 1_700_000_000n,
      volsize: BigInt(4 * MIB),
      volblocksize: BLOCK,
    };

    /** Writes data at its places, in order, and frees what is named as a hole. */
    function streamOf(
      options: VolumeStreamOptions,
      parts: readonly (readonly [number, Uint8Array | number])[],
    ) {
      const writer = createVolumeWriter(options);
      const pieces = [writer.begin()];
      for (const [offset, part] of parts) {
        pieces.push(typeof part === "number" ? writer.free(offset, part) : writer.write(offset, part));
      }
      return Buffer.concat([...pieces, writer.end()]);
    }

    /** zstream reads it, every checksum right: it says on stderr when one isn't, and exits 0 all the same. */
    function expectDumped(stream: Uint8Array): void {
      const { status, stdout, stderr } = run(running, ["zstream", "dump", "-v"], stream);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout.toString()).toMatch(/^END checksum = [0-9a-f/]+$/m);
      expect(stdout.toString()).toContain(`Total stream length = ${stream.length} `);
    }

    /** Receives a stream as @name of a volume. @returns the digest of its device. */
    function received(name: string, stream: Uint8Array): string {
      must(running, ["zfs", "receive", "-F", `${POOL}/${name}`], stream);
      awaitDevice(name);
      return deviceSha(name);
    }

    test("a full stream, two incremental ones on top, and what ZFS sends of it", () => {
      const first = randomBytes(3 * BLOCK);
      const last = randomBytes(BLOCK);
      const one = new Uint8Array(4 * MIB);
      one.set(first, 2 * BLOCK);
      one.set(last, one.length - BLOCK);
      const full = streamOf(base, [
        [0, 2 * BLOCK],
        [2 * BLOCK, first],
        [one.length - BLOCK, last],
      ]);
      expectDumped(full);
      expect(received("written", full)).toBe(sha256(one));
      expect(property("written@one", "guid")).toBe(String(base.toGuid));
      expect(property("written@one", "creation")).toBe("1700000000");
      expect(property("written", "volsize")).toBe(String(4 * MIB));
      expect(property("written", "volblocksize")).toBe(String(BLOCK));

      const changed = randomBytes(BLOCK);
      const grown = new Uint8Array(6 * MIB);
      grown.set(one);
      grown.fill(0, 3 * BLOCK, 4 * BLOCK);
      grown.set(changed, 0);
      grown.set(changed, 5 * MIB);
      const two = { ...base, toName: "elsewhere/disk@two", toGuid: 2n ** 64n - 5n, fromGuid: base.toGuid };
      const growing = streamOf({ ...two, volsize: BigInt(grown.length) }, [
        [0, changed],
        [3 * BLOCK, BLOCK],
        [5 * MIB, changed],
      ]);
      expectDumped(growing);
      expect(received("written", growing)).toBe(sha256(grown));
      expect(property("written@two", "guid")).toBe(String(2n ** 64n - 5n));

      const shrunk = grown.slice(0, MIB);
      const three = { ...base, toName: "elsewhere/disk@three", toGuid: 33n, fromGuid: two.toGuid };
      expect(received("written", streamOf({ ...three, volsize: BigInt(MIB) }, []))).toBe(sha256(shrunk));
      expect(property("written", "volsize")).toBe(String(MIB));

      expect(sha256(applied(read(send("-c", `${POOL}/written@one`))))).toBe(sha256(one));
      const again = read(send("-i", "@one", `${POOL}/written@two`));
      expect(sha256(applied(again, one))).toBe(sha256(grown));
    });

    /** The same stream by our writer. `volsize` counts where the stream says none. */
    function rewritten({ events }: Streamed, volsize: number): Uint8Array {
      const first = events[0];
      if (first?.kind !== "begin") throw new Error("no begin");
      const size = events.find((event) => event.kind === "size")?.volsize ?? BigInt(volsize);
      const writer = createVolumeWriter({ ...first.begin, volsize: size, volblocksize: BLOCK });
      const pieces = [writer.begin()];
      for (const event of events) {
        if (event.kind === "write") pieces.push(writer.write(event.offset, event.data));
        if (event.kind !== "free" || event.offset >= Number(size)) continue;
        pieces.push(writer.free(event.offset, Math.min(event.length, Number(size) - event.offset)));
      }
      return Buffer.concat([...pieces, writer.end()]);
    }

    test("what was read of a volume full of holes, written again, with two incremental streams", () => {
      createVolume("holes", 16 * MIB, `volblocksize=${BLOCK}`, "compression=lz4");
      must(running, ["dd", "of=/tmp/noise"], randomBytes(4 * MIB));
      let seed = 1;
      const random = (below: number) => {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        return (seed >>> 8) % below;
      };
      const target = device("holes");
      const change = () =>
        `dd if=/tmp/noise of=${target} bs=16k count=${1 + random(9)} seek=${random(760)} skip=${random(240)} ` +
        `conv=notrunc 2>/dev/null; ` +
        `blkdiscard -o ${random(760) * BLOCK} -l ${(1 + random(30)) * BLOCK} ${target}`;
      let volume: Uint8Array = new Uint8Array(0);
      for (const [index, size] of [16 * MIB, 16 * MIB, 12 * MIB].entries()) {
        must(running, ["sh", "-ec", `${Array.from({ length: 14 }, change).join("; ")}; sync`]);
        if (size !== 16 * MIB) must(running, ["zfs", "set", `volsize=${size}`, `${POOL}/holes`]);
        snapshot(`holes@${index}`);
        const base = index === 0 ? [] : ["-i", `@${index - 1}`];
        const streamed = read(send("-c", "-e", ...base, `${POOL}/holes@${index}`));
        expect(streamed.counts.FREE).toBeGreaterThan(4);
        volume = applied(streamed, volume);
        const sha = deviceSha("holes");
        expect(sha256(volume)).toBe(sha);
        expect(received("holes-again", rewritten(streamed, size))).toBe(sha);
      }
    });

    test("blocks of 1 MiB", () => {
      const volume = new Uint8Array(4 * MIB);
      volume.set(randomBytes(2 * MIB), MIB);
      const stream = streamOf({ ...base, volblocksize: MIB }, [[MIB, volume.subarray(MIB, 3 * MIB)]]);
      expectDumped(stream);
      expect(received("megabytes", stream)).toBe(sha256(volume));
      expect(property("megabytes", "volblocksize")).toBe(String(MIB));
    });

    test("a volume that ends within a block", () => {
      const volume = new Uint8Array(MIB + 512);
      volume.set(randomBytes(512), MIB);
      const options = { ...base, volsize: BigInt(volume.length) };
      const stream = streamOf(options, [[MIB, volume.subarray(MIB)]]);
      expectDumped(stream);
      expect(received("odd", stream)).toBe(sha256(volume));
      expect(sha256(applied(read(send(`${POOL}/odd@one`))))).toBe(sha256(volume));
    });

    test("and refuses when a bit of it is changed, as zstream does", () => {
      const stream = streamOf(base, [[0, randomBytes(BLOCK)]]);
      stream[2000] = (stream[2000] ?? 0) ^ 4;
      expect(run(running, ["zstream", "dump"], stream).stderr).toContain("invalid checksum");
      expect(run(running, ["zfs", "receive", `${POOL}/damaged`], stream).stderr).toContain("checksum");
      expect(problemOf(stream)).toMatchObject({ kind: "corrupt" });
    });
  });
});
