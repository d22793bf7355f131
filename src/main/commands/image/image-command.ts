import { Command } from "commander";
import { addVerbs } from "../client/client-commands.js";
import { notEmpty, parseBlockBytes, parsePort } from "../option-parsers.js";
import { aboutFile, problemLine } from "./command-failure.js";
import type { PackOptions } from "./pack.js";

const DEFAULT_PORT = 20000;
const DEFAULT_BLOCK_BYTES = 16384;

/**
 * Ends the process with status 1. stderr gets one line for a problem that the user can
 * solve, a stack trace for a bug, and nothing when the reader of stdout closed the pipe.
 */
function exitWithError(error: unknown): never {
  const isClosedPipe = error instanceof Error && "code" in error && error.code === "EPIPE";
  if (!isClosedPipe) {
    const text = problemLine(error) ?? (error instanceof Error ? error.stack : String(error));
    process.stderr.write(`imagestore: ${text}\n`);
  }
  process.exit(1);
}

// Each command loads what it needs when it runs: the others start faster without.

async function serveImages(dir: string, { host, port }: { host: string; port: number }): Promise<void> {
  const { startImageService } = await import("./image-server.js");
  const service = await startImageService({ dir, host, port });
  const onSignal = () => {
    service.close().then(() => process.exit(0), exitWithError);
  };
  process.once("SIGTERM", onSignal);
  process.once("SIGINT", onSignal);
  const authority = host.includes(":") ? `[${host}]` : host;
  const count = service.images === 1 ? "1 image" : `${service.images} images`;
  process.stdout.write(
    `imagestore image service on http://${authority}:${service.port}, ${count} in ${dir}\n`,
  );
}

async function inspectFile(file: string, { json }: { json?: boolean }): Promise<void> {
  const { inspectionJson, inspectionText, inspectStream } = await import("./inspect.js");
  const { openStreamSource } = await import("./stream-source.js");
  try {
    const inspection = await inspectStream(openStreamSource(file));
    process.stdout.write(json ? inspectionJson(inspection) : inspectionText(inspection));
  } catch (error) {
    throw aboutFile(file, error);
  }
}

async function pack(file: string, options: PackOptions): Promise<void> {
  const { packDisk } = await import("./pack.js");
  await packDisk(file, options);
}

async function unpack(files: readonly string[], { output }: { output: string }): Promise<void> {
  const { unpackStreams } = await import("./unpack.js");
  await unpackStreams(files, output);
}

/** `imagestore image pack | inspect | unpack | serve`. See docs/images.md. */
export function imageCommand(): Command {
  const image = new Command("image").description(
    "make, check, unpack and serve images; fetch, list and delete those of a daemon",
  );
  image.hook("preAction", () => {
    process.stdout.on("error", exitWithError);
  });
  image
    .command("serve")
    .description("serve the images of a folder, for development and tests")
    .argument("<dir>", "folder with files ID, ID.zfs, ID.gz or ID.zfs.gz")
    .option("-H, --host <address>", "address to listen on", notEmpty, "127.0.0.1")
    .option("-p, --port <port>", "port to listen on, 0 for any", parsePort, DEFAULT_PORT)
    .action((dir: string, flags: { host: string; port: number }) =>
      serveImages(dir, flags).catch(exitWithError),
    );
  image
    .command("pack")
    .description("make an image, the stream of a volume, of a disk")
    .argument("<file>", "disk, raw or what qemu-img reads: a file, a block device, or - for stdin")
    .option("-o, --output <file>", "where to write it (default stdout)", notEmpty)
    .option("--name <snapshot>", "POOL/VOLUME@SNAPSHOT (default image/BASENAME@image)", notEmpty)
    .option("--volblocksize <bytes>", "block size of the volume", parseBlockBytes, DEFAULT_BLOCK_BYTES)
    .action((file: string, flags: PackOptions) => pack(file, flags).catch(exitWithError));
  image
    .command("inspect")
    .description("verify an image and print what it holds")
    .argument("<file>", "stream, gzipped or not, or - for stdin")
    .option("--json", "print JSON")
    .action((file: string, flags: { json?: boolean }) => inspectFile(file, flags).catch(exitWithError));
  image
    .command("unpack")
    .description("give the raw disk of an image back")
    .argument("<files...>", "a full stream, then incrementals on it in order; - for stdin")
    .requiredOption("-o, --output <file>", "where to write the raw disk", notEmpty)
    .action((files: string[], flags: { output: string }) => unpack(files, flags).catch(exitWithError));
  return addVerbs(image);
}
