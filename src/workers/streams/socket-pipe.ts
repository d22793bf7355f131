import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { connect, createServer, type OnReadOpts, type Socket } from "node:net";
import { join } from "node:path";

/** Two connected sockets: what a child writes to one is read from the other. */
export interface Pipe {
  readonly reading: Socket;
  /** For the child's stdio. Destroy it when the child has started. */
  readonly writing: Socket;
}

/**
 * Opens a pipe that is read into memory of the reader's choice (`onread`). The pipes of
 * child_process allocate a buffer for each read, and collecting those costs more than the
 * reading (docs/decisions/streams.md). The sockets meet in a folder below `parent` that only
 * our user can enter; it is removed before this resolves. Rejects if it can't be created.
 */
export async function openPipe(parent: string, onread: OnReadOpts): Promise<Pipe> {
  const folder = await mkdtemp(join(parent, ".pipe-"));
  const handle = await open(folder);
  const server = createServer({ pauseOnConnect: true });
  try {
    // The address of a socket has room for 108 bytes (unix(7)): a path below `parent` may not fit.
    const path = `/proc/self/fd/${handle.fd}/p`;
    server.listen(path);
    await once(server, "listening");
    const reading = connect({ path, onread });
    const [[writing]] = await Promise.all([once(server, "connection"), once(reading, "connect")]);
    return { reading, writing };
  } finally {
    server.close();
    await handle.close();
    await rm(folder, { recursive: true, force: true });
  }
}
