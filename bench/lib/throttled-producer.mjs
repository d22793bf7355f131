// @ts-check
/** Writes zeros at a fixed rate, like a pool that is slow to read. Usage: node throttled-producer.mjs MB-PER-S MIB */
const CHUNK_BYTES = 256 * 1024;

const [rate = "", mib = ""] = process.argv.slice(2);
const bytesPerMs = Number(rate) * 1000;
const total = Number(mib) * 1024 * 1024;
const chunk = Buffer.alloc(CHUNK_BYTES);
const startedAt = performance.now();
for (let written = 0; written < total; written += CHUNK_BYTES) {
  const aheadMs = written / bytesPerMs - (performance.now() - startedAt);
  if (aheadMs > 1) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  await new Promise((resolve) => process.stdout.write(chunk, resolve));
}
