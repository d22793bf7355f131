import { open } from "node:fs/promises";
import type { VolumeStreamOptions } from "../zfs-stream/volume-writer.js";
import { type DataRange, rangesFrom } from "./data-ranges.js";
import { filePieces } from "./disk-pieces.js";
import { sendDisk, type WriteStream } from "./send-disk.js";

export interface SendVolumeOptions {
  /** A raw disk. If it is shorter than `stream.volsize`, zeros are added; if it is longer, the rest is not sent. */
  readonly file: string;
  /** The raw disk of the older snapshot, whose guid is `stream.fromGuid`; without it the stream is a full one. */
  readonly from?: string;
  /** The older snapshot is not at hand: all of the newer one is sent, and its holes too. */
  readonly isOlderUnknown?: boolean;
  readonly stream: VolumeStreamOptions;
  /**
   * Where `file` or `from` may hold data, ascending. Both are zeros everywhere else, and not read
   * there. Undefined: not known, so all is read.
   */
  readonly dataRanges?: readonly DataRange[] | undefined;
  readonly write: WriteStream;
  /** How many bytes of `file` are done; called several times a second. */
  onProgress?(bytesRead: number): void;
}

/**
 * Sends a raw disk in a file as the stream of a volume, as sendDisk does.
 * Rejects with what opening the files, reading or `write` threw; then the stream lacks its end.
 */
export async function sendVolume({ file, from, dataRanges, ...options }: SendVolumeOptions): Promise<void> {
  await using current = await open(file, "r");
  await using older = from === undefined ? undefined : await open(from, "r");
  const { resumeAt = 0, volsize } = options.stream;
  const ranges = rangesFrom(resumeAt, dataRanges ?? [{ start: 0, end: Number(volsize) }]);
  await sendDisk({
    ...options,
    pieces: filePieces(current, (await current.stat()).size, ranges),
    olderPieces: older && filePieces(older, (await older.stat()).size, ranges),
  });
}
