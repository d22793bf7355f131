import { receiveVolume } from "../../../protocol/raw-disk/receive-volume.js";
import type { StreamBegin } from "../../../protocol/zfs-stream/volume-reader.js";
import { aboutFile, CommandFailure } from "./command-failure.js";
import { openStreamSource } from "./stream-source.js";
import { createTargetFile } from "./target-file.js";

/** Throws a CommandFailure unless `begin` is an incremental on `before`, or a full stream when there is no `before`. */
function requireNext(begin: StreamBegin, before: StreamBegin | undefined): void {
  if (!before && begin.fromGuid !== 0n) {
    throw new CommandFailure(
      `an incremental stream from guid ${begin.fromGuid}, name the streams it builds on before it`,
    );
  }
  if (before && begin.fromGuid === 0n) {
    throw new CommandFailure("a full stream, it can only be the first");
  }
  if (before && begin.fromGuid !== before.toGuid) {
    throw new CommandFailure(
      `it builds on guid ${begin.fromGuid}, but the stream before it ends in ${before.toGuid} (${before.toName})`,
    );
  }
}

/**
 * Writes the raw disk of a full stream, followed by incrementals in their order. The
 * output is a sparse file that appears only when every stream has been verified.
 * Fails: a CommandFailure (a bad stream, a wrong order, an unusable output); errors of the files.
 */
export async function unpackStreams(files: readonly string[], output: string): Promise<void> {
  if (files.filter((file) => file === "-").length > 1)
    throw new CommandFailure("stdin can be read only once");
  const target = await createTargetFile(
    output,
    files.filter((file) => file !== "-"),
  );
  try {
    let before: StreamBegin | undefined;
    for (const file of files) {
      const openTarget = async (begin: StreamBegin) => {
        requireNext(begin, before);
        return target.handle;
      };
      try {
        const received = await receiveVolume({ source: openStreamSource(file), openTarget });
        before = received.begin;
      } catch (error) {
        throw aboutFile(file, error);
      }
    }
    await target.commit();
  } finally {
    await target.close();
  }
}
