import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Two connected sockets, one for us and one for a child. */
interface SocketPair {
  /** What comes from the child: chunks that are valid until the next one is taken, until the socket ends. */
  readonly chunks: AsyncGenerator<Buffer>;
  readonly ours: Socket;
  /** For the child's stdio. Destroy it when the child has started. */
  readonly theirs: Socket;
}

/** More than a socket holds. */
const READ_BYTES = 512 * 1024;

/** What comes on a socket. It is read into one buffer, again and again, and no more until that is taken. */
function createInbox() {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /** What was read and is not taken. */
  let ready: Buffer | undefined;
  let isClosed = false;
  /** Called when one of these has changed. */
  let wake = () => {};
  const onread = {
    buffer,
    callback: (length: number) => {
      ready = buffer.subarray(0, length);
      wake();
      // Pauses.
      return false;
    },
  };

  function follow(socket: Socket): void {
    // An error is an end too: how the child ended says more.
    for (const event of ["error", "end", "close"]) {
      socket.on(event, () => {
        isClosed = true;
        wake();
      });
    }
  }

  async function* chunks(socket: Socket): AsyncGenerator<Buffer> {
    for (;;) {
      if (!ready && !isClosed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const chunk = ready;
      ready = undefined;
      if (!chunk) return;
      yield chunk;
      socket.resume();
    }
  }

  return { onread, follow, chunks };
}

/**
 * Opens a pair. The sockets meet in a folder below $TMPDIR that only our user can enter; it is removed
 * before this resolves. Rejects if that can't be created.
 */
export async function openSocketPair(): Promise<SocketPair> {
  const folder = await mkdtemp(join(tmpdir(), "imagestore-"));
  const handle = await open(folder);
  const server = createServer({ pauseOnConnect: true });
  const inbox = createInbox();
  try {
    // The address of a socket has room for 108 bytes (unix(7)): a path below $TMPDIR may not fit.
    const path = `/proc/self/fd/${handle.fd}/s`;
    server.listen(path);
    await once(server, "listening");
    const ours = connect({ path, onread: inbox.onread });
    const [[theirs]] = await Promise.all([once(server, "connection"), once(ours, "connect")]);
    inbox.follow(ours);
    return { ours, theirs, chunks: inbox.chunks(ours) };
  } finally {
    server.close();
    await handle.close();
    await rm(folder, { recursive: true, force: true });
  }
}
