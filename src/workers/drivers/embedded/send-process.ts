/**
 * A process of its own: writes the stream of an embedded pool's snapshot to stdout,
 * as `zfs send` does, so that the streaming worker needs to know one way only.
 */

import { sendVolume } from "../../../protocol/raw-disk/send-volume.js";
import { writeToStdout } from "../../../protocol/raw-disk/stdout.js";
import type { SendOrder } from "./child-messages.js";

const { name, file, guid, created, volsize, volblocksize } = JSON.parse(process.argv[2] ?? "") as SendOrder;
// Whoever reads has gone: the error of the write says so, an event besides it would end us with a trace.
process.stdout.on("error", () => {});
try {
  await sendVolume({
    file,
    stream: {
      toName: name,
      toGuid: BigInt(guid),
      fromGuid: 0n,
      creationTime: BigInt(created),
      volsize: BigInt(volsize),
      volblocksize,
    },
    write: writeToStdout,
  });
} catch (error) {
  process.stderr.write(`cannot send '${name}': ${(error as Error).message}\n`);
  process.exitCode = 1;
}
