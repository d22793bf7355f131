/**
 * The send process: writes the stream of a snapshot of an embedded pool to stdout, as
 * `zfs send` does. So the streaming worker runs a command for either driver.
 */
import { mergeRanges } from "../../../protocol/raw-disk/data-ranges.js";
import { sendVolume } from "../../../protocol/raw-disk/send-volume.js";
import { openStdout } from "../../../protocol/raw-disk/stdout.js";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import { parseSendRequest } from "./child-messages.js";
import { findVolumeData } from "./volume-data.js";
import { requireWhole } from "./whole-file.js";

const { name, file, guid, created, volsize, volblocksize, base, resumeAt } = parseSendRequest(
  process.argv[2],
);
// When the reader closes the pipe, the write rejects; without a listener the event would end us with a stack trace.
process.stdout.on("error", () => {});
try {
  await requireWhole(name, file, BigInt(volsize));
  const older = base?.data;
  if (older) await requireWhole(older.name, older.file, BigInt(older.volsize));
  const ranges = await findVolumeData(file);
  const olderRanges = older ? await findVolumeData(older.file) : [];
  await sendVolume({
    file,
    ...(older && { from: older.file }),
    isOlderUnknown: base !== undefined && older === undefined,
    dataRanges: ranges && olderRanges && mergeRanges(ranges, olderRanges),
    stream: {
      toName: name,
      toGuid: BigInt(guid),
      fromGuid: BigInt(base?.guid ?? 0),
      creationTime: BigInt(created),
      volsize: BigInt(volsize),
      volblocksize,
      resumeAt,
    },
    write: openStdout(),
  });
} catch (error) {
  process.stderr.write(`cannot send '${name}': ${messageOf(error)}\n`);
  process.exitCode = 1;
}
