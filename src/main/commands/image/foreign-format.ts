import { open } from "node:fs/promises";
import type { DiskFile } from "./disk-source.js";

/** A format of files that are no raw disk, known by the bytes at a place of them. */
export interface ForeignFormat {
  /** What a file of it is, with its article where it needs one. */
  readonly name: string;
  /** Where the bytes are. Negative: from the end of the file. */
  readonly at: number;
  readonly magic: Buffer;
  /** The name that QEMU's programs have for it, if they read the disk in such a file. */
  readonly driver?: string;
  /** What makes a raw disk, `disk.raw`, of a file. */
  readonly convert: (file: string) => string;
}

const text = (magic: string) => Buffer.from(magic, "latin1");
const hex = (magic: string) => Buffer.from(magic, "hex");
const byQemu = (driver: string) => (file: string) => `qemu-img convert -f ${driver} -O raw ${file} disk.raw`;
const by = (program: string) => (file: string) => `${program} ${file} > disk.raw`;
const ofQemu = (name: string, driver: string, magic: Buffer, at = 0): ForeignFormat => ({
  name,
  at,
  magic,
  driver,
  convert: byQemu(driver),
});

/** Sources: the specifications of the formats, and the probes of block/ in QEMU. */
const FORMATS: readonly ForeignFormat[] = [
  ofQemu("a qcow2 image", "qcow2", text("QFI\xfb")),
  ofQemu("a QED image", "qed", text("QED\0")),
  ofQemu("a VMDK image", "vmdk", text("KDMV")),
  ofQemu("a VMDK image", "vmdk", text("COWD")),
  // Its data is in other files, wherever it says.
  {
    name: "the descriptor of a VMDK image",
    at: 0,
    magic: text("# Disk DescriptorFile"),
    convert: byQemu("vmdk"),
  },
  ofQemu("a VHDX image", "vhdx", text("vhdxfile")),
  ofQemu("a VHD image", "vpc", text("conectix")),
  // A VHD of fixed size is a raw disk with a footer. Its first bytes are the guest's.
  ofQemu("a VHD image of fixed size", "vpc", text("conectix"), -512),
  ofQemu("a VirtualBox image", "vdi", hex("7f10dabe"), 64),
  { name: "gzipped", at: 0, magic: hex("1f8b08"), convert: by("gunzip -c") },
  { name: "compressed by xz", at: 0, magic: hex("fd377a585a00"), convert: by("xz -dc") },
  { name: "compressed by zstd", at: 0, magic: hex("28b52ffd"), convert: by("zstd -dc") },
];

/** How far into a file the magic bytes reach, from either end. */
const LOOKED_AT_BYTES = 512;

/** The format of a file, if it is one of those above. Otherwise its bytes are a disk themselves. */
export async function findForeignFormat({ path, bytes }: DiskFile): Promise<ForeignFormat | undefined> {
  await using handle = await open(path, "r");
  const read = async (from: number) => {
    const buffer = Buffer.alloc(LOOKED_AT_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
    return buffer.subarray(0, bytesRead);
  };
  const head = await read(0);
  const tail = bytes < LOOKED_AT_BYTES ? Buffer.alloc(0) : await read(bytes - LOOKED_AT_BYTES);
  return FORMATS.find(({ at, magic }) => {
    const place = at < 0 ? tail.subarray(LOOKED_AT_BYTES + at) : head.subarray(at);
    return place.subarray(0, magic.length).equals(magic);
  });
}
