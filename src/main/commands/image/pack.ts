import { basename } from "node:path";
import { ShrunkDisk } from "../../../protocol/raw-disk/disk-pieces.js";
import { sendDisk, type WriteStream } from "../../../protocol/raw-disk/send-disk.js";
import { openStdout } from "../../../protocol/raw-disk/stdout.js";
import { type PoolName, poolNameProblem, resolveName } from "../../../protocol/storage/names.js";
import { newGuid } from "../../../protocol/zfs-stream/guid.js";
import { MAX_OFFSET } from "../../../protocol/zfs-stream/stream-records.js";
import { CommandFailure } from "./command-failure.js";
import { type DiskFile, openDiskFile, openRawDisk, type SourceDisk } from "./disk-source.js";
import { type ForeignFormat, findForeignFormat } from "./foreign-format.js";
import { createProgress } from "./progress.js";
import { openQemuDisk } from "./qemu-disk.js";
import { MissingTool } from "./run-tool.js";
import { createTargetFile } from "./target-file.js";

export interface PackOptions {
  /** The file for the stream. Undefined: stdout. */
  readonly output?: string;
  /** `pool/vol@snap`. Undefined: `image/BASENAME@image`. */
  readonly name?: string;
  /** Bytes. */
  readonly volblocksize: number;
}

const MIB = 2 ** 20;

function requirePoolName(pool: string, fullName: string): asserts pool is PoolName {
  const problem = poolNameProblem(pool);
  if (problem !== undefined) throw new CommandFailure(`invalid name ${fullName}: the pool ${problem}`);
}

/**
 * @returns `name`, or a name made from the file's name when `name` is undefined.
 * Fails: a CommandFailure when zfs would not accept the name.
 */
export function streamName(file: string, name: string | undefined): string {
  const text =
    name ?? `image/${file === "-" ? "stdin" : basename(file).replace(/[^a-zA-Z0-9_.:-]/g, "-")}@image`;
  const pool = text.split("/", 1)[0] ?? "";
  requirePoolName(pool, text);
  const resolved = resolveName({ pools: [pool], pool }, text);
  if (!resolved.ok) throw new CommandFailure(`invalid name ${text}: ${resolved.failure.detail}`);
  const { snapshot } = resolved.value;
  // A name that resolveName had to clean is none either: zfs takes it as it is.
  if (snapshot !== text || !text.includes("/")) {
    throw new CommandFailure(`invalid name ${text}: it must be POOL/VOLUME@SNAPSHOT`);
  }
  return text;
}

/** Says in one line what is wrong with a file that is no raw disk, and what to do. */
function foreignFailure({ name }: DiskFile, format: ForeignFormat, missing?: string): CommandFailure {
  const convert = format.convert(name === "stdin" ? "FILE" : name);
  return new CommandFailure(
    missing === undefined
      ? `${name} is ${format.name} and no raw disk. Convert it first: ${convert}`
      : `${name} is ${format.name}, and ${missing} is not installed. Install it (Debian: apt-get install qemu-utils), or convert the image elsewhere: ${convert}`,
  );
}

async function openDisk(file: DiskFile): Promise<SourceDisk> {
  const format = await findForeignFormat(file);
  if (!format) return openRawDisk(file);
  if (format.driver === undefined) throw foreignFailure(file, format);
  try {
    return await openQemuDisk(file, format.driver);
  } catch (error) {
    throw error instanceof MissingTool ? foreignFailure(file, format, error.program) : error;
  }
}

async function pack(
  disk: SourceDisk,
  toName: string,
  volblocksize: number,
  write: WriteStream,
): Promise<void> {
  const volumeBytes = Math.ceil(disk.bytes / MIB) * MIB;
  if (volumeBytes !== disk.bytes) {
    process.stderr.write(
      `imagestore: the disk has ${disk.bytes} bytes, the volume ${volumeBytes}: whole MiB, the rest is zeros\n`,
    );
  }
  const progress = createProgress(volumeBytes, process.stderr);
  try {
    await sendDisk({
      pieces: disk.pieces,
      stream: {
        toName,
        toGuid: newGuid(),
        fromGuid: 0n,
        creationTime: BigInt(Math.floor(Date.now() / 1000)),
        volsize: BigInt(volumeBytes),
        volblocksize,
      },
      write,
      onProgress: progress.update,
    });
  } finally {
    progress.end();
  }
}

async function packFile(file: DiskFile, toName: string, options: PackOptions): Promise<void> {
  if (file.bytes === 0) throw new CommandFailure("the disk is empty");
  const { output, volblocksize } = options;
  const disk = await openDisk(file);
  try {
    if (disk.bytes === 0) throw new CommandFailure("the disk is empty");
    if (disk.bytes > MAX_OFFSET - MIB)
      throw new CommandFailure(`a disk of ${disk.bytes} bytes is too large for a volume`);
    if (output === undefined) return await pack(disk, toName, volblocksize, openStdout());
    const target = await createTargetFile(output, file.name === "stdin" ? [] : [file.path]);
    try {
      await pack(disk, toName, volblocksize, target.append);
      await target.commit();
    } finally {
      await target.close();
    }
  } catch (error) {
    throw error instanceof ShrunkDisk
      ? new CommandFailure(`${file.name}: ${error.message}`, { cause: error })
      : error;
  } finally {
    await disk.close();
  }
}

/**
 * Writes a full stream of a disk: a raw one, or one of a format that QEMU reads where its programs are
 * installed. The volume's size is rounded up to whole MiB, and blocks of zeros become holes. An output
 * file appears only when it is complete.
 * Fails: a CommandFailure (bad name, empty disk, damaged image, stdout is a terminal); errors of the
 * files and of stdout, such as EPIPE.
 */
export async function packDisk(name: string, options: PackOptions): Promise<void> {
  const toName = streamName(name, options.name);
  if (options.output === undefined && process.stdout.isTTY) {
    throw new CommandFailure("a stream is nothing for a terminal: redirect it, or name a file with -o");
  }
  const file = await openDiskFile(name);
  try {
    await packFile(file, toName, options);
  } finally {
    await file.close();
  }
}
