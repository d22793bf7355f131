import { closeSync, openSync, readSync } from "node:fs";
import { createPoolStateTracker, type PoolState } from "../../protocol/storage/txg-history.js";

/** What a kstat of a hundred transaction groups takes, and room to spare. */
const FIRST_ROOM_BYTES = 32 * 1024;

/** Tells from a pool's history of transaction groups whether the pool has changed. */
export interface PoolHistory {
  /**
   * The pool's state after this turn of the event loop, in which the questions came. All who ask in one turn
   * share one look. Undefined: it is not known now.
   */
  now(): Promise<PoolState | undefined>;
  /** Closes the file. `now` must not be called afterwards. */
  close(): void;
}

/** `file`: the kstat `txgs` of the pool. The kernel makes its text while it is read, in some 50 µs. */
export function openPoolHistory(file: string): PoolHistory {
  const stateOf = createPoolStateTracker();
  let fd: number | undefined;
  /** Two buffers in turn: the newest text, and the one before it. */
  let text = Buffer.alloc(FIRST_ROOM_BYTES);
  let before = Buffer.alloc(FIRST_ROOM_BYTES);
  let lengthBefore = 0;
  let state: PoolState | undefined;
  let looking: Promise<PoolState | undefined> | undefined;

  /** @returns how much there is in `text` now. Throws if the file is gone, as that of an exported pool. */
  function readText(): number {
    fd ??= openSync(file, "r");
    for (let length = 0; ; ) {
      const read = readSync(fd, text, length, text.length - length, length);
      if (read === 0) return length;
      length += read;
      if (length === text.length) text = Buffer.concat([text], 2 * length);
    }
  }

  function look(): PoolState | undefined {
    try {
      const length = readText();
      const isSame = before.subarray(0, lengthBefore).equals(text.subarray(0, length));
      if (!isSame) state = stateOf(text.toString("latin1", 0, length));
      [text, before, lengthBefore] = [before, text, length];
      return state;
    } catch {
      close();
      return undefined;
    }
  }

  function close(): void {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  }

  return {
    now() {
      looking ??= new Promise((resolve) => {
        setImmediate(() => {
          looking = undefined;
          resolve(look());
        });
      });
      return looking;
    },
    close,
  };
}
