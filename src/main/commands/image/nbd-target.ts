/**
 * The server's side of the NBD protocol, for one client that writes a disk of zeros. Source: doc/proto.md
 * of the Network Block Device project, of which it has what `qemu-img convert` asks for.
 */

/** A part of a disk that was written. */
export interface DiskWrite {
  readonly offset: number;
  readonly data: Buffer;
}

/** What the client sent is no NBD, or ends too early. Its message is a clause about the client. */
export class NbdFailure extends Error {
  override readonly name = "NbdFailure";

  /** `hasLeft`: the connection ended before its time. */
  constructor(
    message: string,
    readonly hasLeft = false,
  ) {
    super(message);
  }
}

const GREETING = Buffer.from("NBDMAGICIHAVEOPT", "latin1");
/** Handshake flags: FIXED_NEWSTYLE and NO_ZEROES. */
const HANDSHAKE_FLAGS = 3;
const OPTION_MAGIC = Buffer.from("IHAVEOPT", "latin1");
const OPTION_GO = 7;
/** The longest that a client may send with an option. */
const OPTION_LIMIT_BYTES = 64 * 1024;
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const REPLY_ACK = 1;
const REPLY_INFO = 3;
const REPLY_UNSUPPORTED = 2 ** 31 + 1;
const INFO_EXPORT = 0;
/** Transmission flags: HAS_FLAGS, SEND_FLUSH and SEND_WRITE_ZEROES. */
const TRANSMISSION_FLAGS = 1 | 4 | 64;
const REQUEST_MAGIC = 0x25609513;
const REQUEST_BYTES = 28;
const REPLY_MAGIC = 0x67446698;
const COMMAND = { write: 1, disconnect: 2, flush: 3, writeZeroes: 6 } as const;
const EINVAL = 22;

/** Takes bytes from the front of what comes in chunks. A chunk is valid until the next one is taken. */
function createFront(chunks: AsyncIterator<Buffer>) {
  let rest: Buffer = Buffer.alloc(0);

  /** What is there, at most so many bytes, valid until the next take. */
  async function takeSome(mostBytes: number): Promise<Buffer> {
    if (rest.length === 0) {
      const next = await chunks.next();
      if (next.done) throw new NbdFailure("left before it was done", true);
      rest = next.value;
    }
    const part = rest.subarray(0, mostBytes);
    rest = rest.subarray(part.length);
    return part;
  }

  async function take(bytes: number): Promise<Buffer> {
    const whole = Buffer.alloc(bytes);
    for (let filled = 0; filled < bytes; ) {
      const part = await takeSome(bytes - filled);
      whole.set(part, filled);
      filled += part.length;
    }
    return whole;
  }

  return { takeSome, take };
}

function optionReply(option: number, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

function exportInfo(bytes: number): Buffer {
  const info = Buffer.alloc(12);
  info.writeUInt16BE(INFO_EXPORT, 0);
  info.writeBigUInt64BE(BigInt(bytes), 2);
  info.writeUInt16BE(TRANSMISSION_FLAGS, 10);
  return info;
}

type Front = ReturnType<typeof createFront>;
type Send = (bytes: Buffer) => void;

/** Until the client goes on to the disk. It does without the options that are not supported. */
async function shakeHands(front: Front, send: Send, diskBytes: number): Promise<void> {
  const flags = Buffer.alloc(2);
  flags.writeUInt16BE(HANDSHAKE_FLAGS, 0);
  send(Buffer.concat([GREETING, flags]));
  // The client's flags: that it knows ours.
  await front.take(4);
  for (;;) {
    const head = await front.take(16);
    const option = head.readUInt32BE(8);
    const length = head.readUInt32BE(12);
    if (!head.subarray(0, 8).equals(OPTION_MAGIC) || length > OPTION_LIMIT_BYTES)
      throw new NbdFailure("does not speak NBD");
    await front.take(length);
    if (option !== OPTION_GO) {
      send(optionReply(option, REPLY_UNSUPPORTED, Buffer.alloc(0)));
      continue;
    }
    send(optionReply(option, REPLY_INFO, exportInfo(diskBytes)));
    send(optionReply(option, REPLY_ACK, Buffer.alloc(0)));
    return;
  }
}

function replyTo(request: Buffer, errno: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32BE(REPLY_MAGIC, 0);
  reply.writeUInt32BE(errno, 4);
  // The cookie, by which the client knows its request again.
  reply.set(request.subarray(8, 16), 8);
  return reply;
}

/**
 * Serves a disk of `diskBytes` zeros to the client that sends `chunks` and gets `send`, and gives what it
 * writes, in its order, until it says that it is done. A write is acknowledged when all of it was taken; its
 * data is valid until the next is taken. That zeros are written is no news, so it must write no place twice.
 * Throws an NbdFailure.
 */
export async function* receiveDisk(
  chunks: AsyncIterator<Buffer>,
  send: Send,
  diskBytes: number,
): AsyncGenerator<DiskWrite> {
  const front = createFront(chunks);
  await shakeHands(front, send, diskBytes);
  for (;;) {
    const request = await front.take(REQUEST_BYTES);
    if (request.readUInt32BE(0) !== REQUEST_MAGIC) throw new NbdFailure("does not speak NBD");
    const command = request.readUInt16BE(6);
    const start = Number(request.readBigUInt64BE(16));
    const length = request.readUInt32BE(24);
    if (command === COMMAND.disconnect) return;
    if (command === COMMAND.write) {
      if (start + length > diskBytes) throw new NbdFailure("writes behind the end of the disk");
      for (let done = 0; done < length; ) {
        const data = await front.takeSome(length - done);
        yield { offset: start + done, data };
        done += data.length;
      }
    }
    const isKnown = command === COMMAND.write || command === COMMAND.flush || command === COMMAND.writeZeroes;
    send(replyTo(request, isKnown ? 0 : EINVAL));
  }
}
