import { basename } from "node:path";
import { sendVolume } from "../../../protocol/raw-disk/send-volume.js";
import { writeToStdout } from "../../../protocol/raw-disk/stdout.js";
import { type PoolName, poolNameProblem, resolveName } from "../../../protocol/storage/names.js";
import { newGuid } from "../../../protocol/zfs-stream/guid.js";
import { CommandFailure } from "./command-failure.js";
import { findDiskData } from "./disk-data.js";
import { openRawDisk, type RawDisk } from "./disk-source.js";
import { requireRaw } from "./foreign-format.js";
import { createProgress } from "./progress.js";
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

async function pack(
  disk: RawDisk,
  toName: string,
  volblocksize: number,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  if (disk.bytes === 0) throw new CommandFailure("the disk is empty");
  const volumeBytes = Math.ceil(disk.bytes / MIB) * MIB;
  if (volumeBytes !== disk.bytes) {
    process.stderr.write(
      `imagestore: the disk has ${disk.bytes} bytes, the volume ${volumeBytes}: whole MiB, the rest is zeros\n`,
    );
  }
  const progress = createProgress(volumeBytes, process.stderr);
  try {
    await sendVolume({
      file: disk.path,
      dataRanges: await findDiskData(disk.path),
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

/**
 * Writes a full stream of a raw disk. The volume's size is rounded up to whole MiB, and
 * blocks of zeros become holes. An output file appears only when it is complete.
 * Fails: a CommandFailure (bad name, empty disk, stdout is a terminal); errors of the
 * files and of stdout, such as EPIPE.
 */
export async function packDisk(file: string, { output, name, volblocksize }: PackOptions): Promise<void> {
  const toName = streamName(file, name);
  if (output === undefined && process.stdout.isTTY) {
    throw new CommandFailure("a stream is nothing for a terminal: redirect it, or name a file with -o");
  }
  const disk = await openRawDisk(file);
  try {
    await requireRaw(disk, file);
    if (output === undefined) {
      await pack(disk, toName, volblocksize, writeToStdout);
      return;
    }
    const target = await createTargetFile(output, file === "-" ? [] : [file]);
    try {
      await pack(disk, toName, volblocksize, target.append);
      await target.commit();
    } finally {
      await target.close();
    }
  } finally {
    await disk.close();
  }
}
