/** Resolves when stdout took all of `chunk`. Rejects with the error of the write, such as EPIPE. */
export function writeToStdout(chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}
