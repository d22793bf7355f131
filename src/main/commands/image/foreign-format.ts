import { open } from "node:fs/promises";
import { CommandFailure } from "./command-failure.js";
import type { RawDisk } from "./disk-source.js";

/** A file that is no raw disk, known by the bytes at a place of it. */
interface Format {
  readonly name: string;
  /** Where the bytes are. Negative: from the end of the file. */
  readonly at: number;
  readonly magic: Buffer;
  /** What makes a raw disk, `disk.raw`, of the file. */
  readonly convert: (file: string) => string;
}

const qemu = (format: string) => (file: string) => `qemu-img convert -f ${format} -O raw ${file} disk.raw`;
const text = (magic: string) => Buffer.from(magic, "latin1");
const hex = (magic: string) => Buffer.from(magic, "hex");

/** Sources: the specifications of the formats, and the probes of block/ in QEMU. */
const FORMATS: readonly Format[] = [
  { name: "a qcow2 image", at: 0, magic: text("QFI\xfb"), convert: qemu("qcow2") },
  { name: "a QED image", at: 0, magic: text("QED\0"), convert: qemu("qed") },
  { name: "a VMDK image", at: 0, magic: text("KDMV"), convert: qemu("vmdk") },
  { name: "a VMDK image", at: 0, magic: text("COWD"), convert: qemu("vmdk") },
  {
    name: "the descriptor of a VMDK image",
    at: 0,
    magic: text("# Disk DescriptorFile"),
    convert: qemu("vmdk"),
  },
  { name: "a VHDX image", at: 0, magic: text("vhdxfile"), convert: qemu("vhdx") },
  { name: "a VHD image", at: 0, magic: text("conectix"), convert: qemu("vpc") },
  // A VHD of fixed size is a raw disk with a footer. Its first bytes are the guest's.
  { name: "a VHD image of fixed size", at: -512, magic: text("conectix"), convert: qemu("vpc") },
  { name: "a VirtualBox image", at: 64, magic: hex("7f10dabe"), convert: qemu("vdi") },
  { name: "gzipped", at: 0, magic: hex("1f8b08"), convert: (file) => `gunzip -c ${file} > disk.raw` },
  {
    name: "compressed by xz",
    at: 0,
    magic: hex("fd377a585a00"),
    convert: (file) => `xz -dc ${file} > disk.raw`,
  },
  {
    name: "compressed by zstd",
    at: 0,
    magic: hex("28b52ffd"),
    convert: (file) => `zstd -dc ${file} > disk.raw`,
  },
];

/** How far into a file the magic bytes reach, from either end. */
const LOOKED_AT_BYTES = 512;

/**
 * Checks that a disk is not a file of another format, of which a volume would be nonsense.
 * Fails: a CommandFailure that says what makes a raw disk of it.
 */
export async function requireRaw({ path, bytes }: RawDisk, file: string): Promise<void> {
  const handle = await open(path, "r");
  const read = async (from: number) => {
    const buffer = Buffer.alloc(LOOKED_AT_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
    return buffer.subarray(0, bytesRead);
  };
  try {
    const head = await read(0);
    const tail = bytes < LOOKED_AT_BYTES ? Buffer.alloc(0) : await read(bytes - LOOKED_AT_BYTES);
    for (const { name, at, magic, convert } of FORMATS) {
      const place = at < 0 ? tail.subarray(LOOKED_AT_BYTES + at) : head.subarray(at);
      if (!place.subarray(0, magic.length).equals(magic)) continue;
      const source = file === "-" ? "FILE" : file;
      throw new CommandFailure(
        `${file === "-" ? "stdin" : file} is ${name} and no raw disk. Convert it first: ${convert(source)}`,
      );
    }
  } finally {
    await handle.close();
  }
}
