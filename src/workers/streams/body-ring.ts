import type { Writable } from "node:stream";
import { createRingReader } from "../../protocol/threads/byte-ring.js";

/** A stream that a client sends, in the ring into which main writes it. */
export interface BodyRing {
  /** Main has written bytes since the last look. */
  onBytes(): void;
  /** Main writes nothing any more. `isWhole`: that was all; else the client has gone. */
  onEnd(isWhole: boolean): void;
  /**
   * Writes all of it to `way`, and ends that; destroys it where the stream breaks, after what came of it. `onTaken` is
   * called with how many bytes came so far. To be called once.
   */
  pour(way: Writable, onTaken: (bytes: number) => void): void;
}

/** Less than the ring: so that main fills one part of it while the receiver has another. */
const MOST_BYTES = 256 * 1024;

/** The error of a stream whose client has gone. */
export class BodyBroken extends Error {
  override readonly name = "BodyBroken";

  constructor() {
    super("the client has gone");
  }
}

/** `onRoom` is called when main waits for room and there is some. */
export function openBodyRing(memory: SharedArrayBuffer, onRoom: () => void): BodyRing {
  const reader = createRingReader(memory);
  let position = 0;
  let end: { readonly isWhole: boolean } | undefined;
  /** Undefined before `pour`, and while the receiver has not taken what it was given. */
  let next: (() => void) | undefined;

  return {
    onBytes: () => next?.(),
    onEnd: (isWhole) => {
      end = { isWhole };
      next?.();
    },
    pour: (way, onTaken) => {
      const step = () => {
        next = step;
        const available = reader.poll() - position;
        if (available > 0) {
          next = undefined;
          const piece = reader.view(position, MOST_BYTES);
          way.write(piece, (error) => {
            if (error) return;
            position += piece.length;
            if (reader.release(position)) onRoom();
            onTaken(position);
            step();
          });
        } else if (end) {
          next = undefined;
          if (end.isWhole) way.end();
          else way.destroy(new BodyBroken());
        }
      };
      step();
    },
  };
}
