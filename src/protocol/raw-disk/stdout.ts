import { fstatSync, write } from "node:fs";
import { promisify } from "node:util";

const writeTo = promisify(write);
const STDOUT = 1;

function writeToStdout(chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

async function writeToStdoutFile(chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; )
    written += (await writeTo(STDOUT, chunk, written, chunk.length - written, null)).bytesWritten;
}

/**
 * Gives the way to write to stdout, one chunk after the other. It resolves when stdout took all of the
 * chunk, and rejects with the error of the write, such as EPIPE. A file is written without process.stdout,
 * which would stop this thread meanwhile.
 */
export function openStdout(): (chunk: Uint8Array) => Promise<void> {
  return fstatSync(STDOUT).isFile() ? writeToStdoutFile : writeToStdout;
}
