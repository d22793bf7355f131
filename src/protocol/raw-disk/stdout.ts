/** Writes to stdout; settles when it took all. Rejects with what the write met, such as EPIPE. */
export function writeToStdout(chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}
