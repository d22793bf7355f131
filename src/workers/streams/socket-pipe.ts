import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { connect, createServer, type OnReadOpts, type Socket } from "node:net";
import { join } from "node:path";

/** Two connected ends: what a child writes into one is read from the other. */
export interface Pipe {
  readonly reading: Socket;
  /** For the child's stdio; to be destroyed once the child has it. */
  readonly writing: Socket;
}

/**
 * A pipe that is read into memory of the reader's choice. The pipes of child_process come
 * with a new buffer for each read, and that garbage costs more than the reading. The ends
 * meet in a folder within `parent` that only our user can enter, and that is gone when this
 * resolves.
 */
export async function openPipe(parent: string, onread: OnReadOpts): Promise<Pipe> {
  const folder = await mkdtemp(join(parent, ".pipe-"));
  const handle = await open(folder);
  const server = createServer({ pauseOnConnect: true });
  try {
    // The address of a socket has room for some hundred bytes: no path of ours is sure to fit.
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
