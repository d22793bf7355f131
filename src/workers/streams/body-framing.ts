import type { IncomingHttpHeaders } from "node:http";

/** Tells the bytes of a body from what a connection brings beside them: RFC 9112, sections 6 and 7. */
export interface BodyFraming {
  /** Gives `onPiece` the parts of `bytes` that are the body's. @returns whether it is whole. Throws as node:http does. */
  take(bytes: Buffer, onPiece: (piece: Buffer) => void): boolean;
  /** Whether the end of the connection is its end. */
  readonly endsWithConnection: boolean;
}

/** Of a line with the size of a chunk, or behind the last one, in bytes. */
const MOST_LINE_BYTES = 16 * 1024;
const MOST_TRAILERS = 1_000;
const LF = 10;

export function framingOf(headers: IncomingHttpHeaders): BodyFraming {
  const coding = headers["transfer-encoding"];
  if (coding !== undefined) return /(?:^|,)\s*chunked\s*$/i.test(coding) ? inChunks() : untilClosed;
  const length = headers["content-length"];
  return length === undefined ? untilClosed : withLength(Number(length));
}

const untilClosed: BodyFraming = {
  take: (bytes, onPiece) => {
    onPiece(bytes);
    return false;
  },
  endsWithConnection: true,
};

function withLength(length: number): BodyFraming {
  /** Bytes that are still to come. */
  let left = length;
  return {
    take: (bytes, onPiece) => {
      const piece = bytes.subarray(0, left);
      left -= piece.length;
      onPiece(piece);
      return left === 0;
    },
    endsWithConnection: false,
  };
}

function refuse(why: string): Error {
  return Object.assign(new Error(`a body in chunks ${why}`), { code: "HPE_INVALID_CHUNK_SIZE" });
}

function sizeIn(line: string): number {
  const [, digits] = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line) ?? [];
  if (digits === undefined) throw refuse("has one without a size");
  return Number.parseInt(digits, 16);
}

function inChunks(): BodyFraming {
  /** What is read: the line with a size, a chunk, what ends that, or the lines behind the last one. */
  let stage: "size" | "chunk" | "end" | "trailers" = "size";
  /** Of the line that is read, what has come. */
  let line = "";
  /** Of the chunk that is read, bytes that are still to come. */
  let left = 0;
  let trailers = 0;

  /** @returns whether the body is whole. */
  function takeLine(text: string): boolean {
    switch (stage) {
      case "size":
        left = sizeIn(text);
        stage = left === 0 ? "trailers" : "chunk";
        return false;
      case "trailers":
        if (++trailers > MOST_TRAILERS) throw refuse("has too many lines at its end");
        return text === "";
      default:
        if (text !== "") throw refuse("has one that is longer than its size");
        stage = "size";
        return false;
    }
  }

  function take(bytes: Buffer, onPiece: (piece: Buffer) => void): boolean {
    for (let at = 0; at < bytes.length; ) {
      if (stage === "chunk") {
        const piece = bytes.subarray(at, at + left);
        at += piece.length;
        left -= piece.length;
        if (left === 0) stage = "end";
        onPiece(piece);
        continue;
      }
      const end = bytes.indexOf(LF, at);
      line += bytes.toString("latin1", at, end < 0 ? bytes.length : end);
      if (line.length > MOST_LINE_BYTES) throw refuse("has a line that is too long");
      if (end < 0) return false;
      if (!line.endsWith("\r")) throw refuse("has a line that ends without CR");
      const text = line.slice(0, -1);
      line = "";
      at = end + 1;
      if (takeLine(text)) return true;
    }
    return false;
  }
  return { take, endsWithConnection: false };
}
