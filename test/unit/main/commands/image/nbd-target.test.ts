import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NbdFailure, receiveDisk } from "../../../../../src/main/commands/image/nbd-target.js";
import { parseQemuInfo } from "../../../../../src/main/commands/image/qemu-info.js";

const DISK_BYTES = 1_000_000;
const [OPTION_STRUCTURED, OPTION_GO] = [8, 7] as const;
const [READ, WRITE, DISCONNECT, FLUSH, WRITE_ZEROES] = [0, 1, 2, 3, 6] as const;

function option(number: number, data = Buffer.alloc(0)): Buffer {
  const head = Buffer.from("IHAVEOPT\0\0\0\0\0\0\0\0", "latin1");
  head.writeUInt32BE(number, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

function request(command: number, offset: number, length: number, data = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(0x25609513, 0);
  head.writeUInt16BE(command, 6);
  head.writeBigUInt64BE(BigInt(offset + 7), 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeUInt32BE(length, 24);
  return Buffer.concat([head, data]);
}

/** The client's flags, an option that is not supported, and the one that goes on. */
const HELLO = Buffer.concat([
  Buffer.from([0, 0, 0, 3]),
  option(OPTION_STRUCTURED),
  option(OPTION_GO, Buffer.alloc(6)),
]);

async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** The disk that is written, and what the client is sent. */
async function receive(sent: Buffer, pieceBytes = 100) {
  const disk = Buffer.alloc(DISK_BYTES);
  const replies: Buffer[] = [];
  for await (const { offset, data } of receiveDisk(
    inPieces(sent, pieceBytes),
    (reply) => void replies.push(reply),
    DISK_BYTES,
  ))
    disk.set(data, offset);
  return { disk, replies: Buffer.concat(replies) };
}

describe("a disk that is written by NBD", () => {
  test("comes as it was written, however the bytes are cut", async () => {
    const write = fc.record({ gap: fc.nat(2000), data: fc.uint8Array({ maxLength: 3000 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { maxLength: 20 }),
        fc.integer({ min: 1, max: 5000 }),
        async (writes, cut) => {
          const expected = Buffer.alloc(DISK_BYTES);
          let at = 0;
          const requests = writes.map(({ gap, data }) => {
            at += gap;
            expected.set(data, at);
            const written = request(WRITE, at, data.length, Buffer.from(data));
            at += data.length;
            return written;
          });
          const { disk } = await receive(Buffer.concat([HELLO, ...requests, request(DISCONNECT, 0, 0)]), cut);
          expect(disk.equals(expected)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("is offered with its size, and every request is answered under its own number", async () => {
    const requests = [
      request(FLUSH, 0, 0),
      request(WRITE_ZEROES, 100, 50),
      request(READ, 200, 50),
      request(WRITE, 300, 2, Buffer.from("ab")),
      request(DISCONNECT, 0, 0),
    ];
    const { replies } = await receive(Buffer.concat([HELLO, ...requests]));
    const hex = [
      // The greeting; the option that is not supported; the size and the flags; "go on".
      `${Buffer.from("NBDMAGICIHAVEOPT").toString("hex")} 0003`,
      "0003e889045565a9 00000008 80000001 00000000",
      "0003e889045565a9 00000007 00000003 0000000c 0000 00000000000f4240 0045",
      "0003e889045565a9 00000007 00000001 00000000",
      "67446698 00000000 0000000000000007",
      "67446698 00000000 000000000000006b",
      "67446698 00000016 00000000000000cf",
      "67446698 00000000 0000000000000133",
    ];
    expect(replies.toString("hex")).toBe(hex.join("").replaceAll(" ", ""));
  });

  test.each([
    ["left before it was done", HELLO],
    ["left before it was done", Buffer.concat([HELLO, request(WRITE, 0, 10, Buffer.alloc(9))])],
    ["left before it was done", Buffer.alloc(0)],
    ["does not speak NBD", Buffer.alloc(100, "x")],
    ["does not speak NBD", Buffer.concat([HELLO, Buffer.alloc(28, "x")])],
    ["does not speak NBD", Buffer.concat([Buffer.alloc(4), option(OPTION_GO, Buffer.alloc(70_000))])],
    [
      "writes behind the end of the disk",
      Buffer.concat([HELLO, request(WRITE, DISK_BYTES - 1, 2, Buffer.alloc(2))]),
    ],
  ])("a client that %s is refused", async (why, sent) => {
    await expect(receive(sent)).rejects.toThrow(NbdFailure);
    await expect(receive(sent)).rejects.toThrow(why);
  });
});

describe("what qemu-img info says", () => {
  test("is the size of the disk, and which other files may have a part of it", () => {
    const info = {
      "virtual-size": 4096,
      encrypted: true,
      "backing-filename": "base.qcow2",
      "full-backing-filename": "/d/base.qcow2",
      "format-specific": {
        type: "vmdk",
        data: { "data-file": "/d/data", extents: [{ filename: "/d/a-flat.vmdk" }, 5] },
      },
    };
    expect(parseQemuInfo(JSON.stringify(info))).toEqual({
      virtualBytes: 4096,
      encrypted: true,
      files: ["base.qcow2", "/d/base.qcow2", "/d/data", "/d/a-flat.vmdk"],
    });
    expect(parseQemuInfo('{"virtual-size":512}')).toEqual({ virtualBytes: 512, encrypted: false, files: [] });
  });

  test.each(["", "{", "[]", "null", '{"virtual-size":"512"}'])("is nothing where it prints %j", (text) => {
    expect(parseQemuInfo(text)).toBeUndefined();
  });
});
