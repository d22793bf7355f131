import { CallError, connect } from "imagestore/client";

const { IMAGESTORE_URL: url = "http://127.0.0.1:19999", IMAGESTORE_TOKEN: token } = process.env;
const client = connect({ url, token, timeoutMs: 60_000 });

/** Deletes a dataset that may be there. */
async function remove(id: string): Promise<void> {
  await client.deleteDataset({ id }).catch((error: unknown) => {
    // Branch on the reason: messages are for people.
    if (!(error instanceof CallError) || error.reason !== "dataset.not_found") throw error;
  });
}

await remove("guests/example-ts");
const {
  volumes: [disk],
} = await client.createVolume({ id: "guests/example-ts/disk-0", size: 16 });
console.log(`made ${disk.id}, ${disk.size} MiB, at ${disk.device}`);

const { snapshots } = await client.createSnapshot({ id: disk.id, dest: "first" });
for (const { id } of snapshots) {
  let bytes = 0;
  // The stream ends only if it is whole: else the loop throws.
  for await (const chunk of await client.download(id)) bytes += chunk.byteLength;
  console.log(`downloaded ${id}, ${bytes} bytes`);
}

await remove("guests/example-ts");
