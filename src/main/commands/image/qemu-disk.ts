import { resolve } from "node:path";
import { neededFileBytes, qemuMapCommand } from "../../../protocol/raw-disk/qemu-map.js";
import { CommandFailure } from "./command-failure.js";
import type { DiskFile, SourceDisk } from "./disk-source.js";
import { convertedPieces } from "./qemu-convert.js";
import { otherFilesOf, parseQemuInfo } from "./qemu-info.js";
import { firstLine, runTool } from "./run-tool.js";

/** What `qemu-img check` exits with where it finds nothing, space that is lost, or has no check of a format. */
const CHECK_PASSED: readonly number[] = [0, 3, 63];

/** Runs qemu-img. Fails: a CommandFailure with the first line that it wrote, unless it succeeds. */
async function qemuImg(file: DiskFile, argv: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runTool(argv);
  if (status === 0) return stdout;
  throw new CommandFailure(
    `${file.name}: ${firstLine("qemu-img", stderr) || `qemu-img ended with ${status}`}`,
  );
}

/**
 * The size of the disk in a file. Fails: a CommandFailure where that file alone is not the disk, since
 * whoever made it could name any file of this machine in it; and where it is encrypted.
 */
async function readDiskBytes(file: DiskFile, driver: string): Promise<number> {
  const command = ["qemu-img", "info", "--output=json", "-f", driver, resolve(file.path)];
  const info = parseQemuInfo(await qemuImg(file, command));
  if (!info) throw new CommandFailure(`${file.name}: qemu-img info says nothing of its size`);
  const [other] = otherFilesOf(info, resolve(file.path));
  if (other !== undefined) {
    throw new CommandFailure(
      `${file.name} is only a part of a disk, it builds on ${other}. Join them first: qemu-img convert -f ${driver} -O raw ${file.name} disk.raw`,
    );
  }
  if (info.encrypted) throw new CommandFailure(`${file.name} is encrypted. Decrypt it first`);
  return info.virtualBytes;
}

function damaged(file: DiskFile, why: string): CommandFailure {
  return new CommandFailure(`${file.name} is damaged${why && `: ${why}`}`);
}

/** Fails: a CommandFailure where the file is damaged or cut short: QEMU reads what is missing as zeros. */
async function requireWhole(file: DiskFile, driver: string): Promise<void> {
  const { status, stderr } = await runTool(["qemu-img", "check", "-q", "-f", driver, resolve(file.path)]);
  if (!CHECK_PASSED.includes(status)) throw damaged(file, firstLine("qemu-img", stderr));
  // The check of this format does not look at the end of the file.
  if (driver !== "vdi") return;
  const needed = neededFileBytes(await qemuImg(file, qemuMapCommand(file.path, driver, false)));
  if (needed === undefined || needed > file.bytes)
    throw damaged(file, `it has ${file.bytes} of ${needed ?? "an unknown number of"} bytes`);
}

/**
 * Opens the disk in a file of a format that QEMU reads, by `qemu-img`. `driver`: as QEMU calls the format.
 * Fails: a MissingTool; a CommandFailure for a file that is damaged, in use, encrypted, or no whole disk.
 */
export async function openQemuDisk(file: DiskFile, driver: string): Promise<SourceDisk> {
  const bytes = await readDiskBytes(file, driver);
  await requireWhole(file, driver);
  return { bytes, pieces: convertedPieces(file, driver, bytes), close: async () => {} };
}
