import {
  chmodSync,
  chownSync,
  lstatSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { Listener, TransportOptions } from "../../protocol/http/transport.js";
import { serveNode } from "./node.js";

/** The `peer` of clients that come by the unix socket. */
export const SOCKET_PEER = "unix";

/** Whoever may write to the socket gets one. Many more calls at once are for the port. */
const MOST_CONNECTIONS = 256;

export interface SocketSettings {
  readonly path: string;
  /** Three octal digits, as in 0660. */
  readonly mode: string;
  /** A name in /etc/group, or a number. Undefined: as it comes. */
  readonly group?: string | undefined;
}

/**
 * Listens on a unix socket, with node:http: what clients ask there is little. The socket appears in its
 * place with its mode and group, and one that a dead daemon has left is replaced. Rejects if something
 * else is there, or answers there (code EADDRINUSE).
 */
export async function listenOnSocket(
  { path, mode, group }: SocketSettings,
  options: Omit<TransportOptions, "host" | "port">,
): Promise<Listener> {
  await requireFree(path);
  const { connections } = options.limits;
  const limits = { ...options.limits, connections: Math.min(connections, MOST_CONNECTIONS) };
  const before = `${path}.${process.pid}`;
  const listener = await serveNode({ ...options, limits }, { path: before }, SOCKET_PEER);
  try {
    if (group !== undefined) chownSync(before, -1, groupId(group));
    chmodSync(before, Number.parseInt(mode, 8));
    renameSync(before, path);
  } catch (error) {
    await listener.close();
    rmSync(before, { force: true });
    throw error;
  }
  const own = lstatSync(path);
  return {
    port: 0,
    get bodyBytesInFlight() {
      return listener.bodyBytesInFlight;
    },
    connections: listener.connections,
    stopAccepting: listener.stopAccepting,
    close: async () => {
      // Node removes the name that it listened under, which is another.
      if (lstat(path)?.ino === own.ino) rmSync(path);
      await listener.close();
    },
  };
}

function lstat(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Rejects unless nothing is at the path, or a socket that nobody listens on. */
async function requireFree(path: string): Promise<void> {
  // Node says EACCES of a folder that is missing.
  statSync(dirname(path));
  const found = lstat(path);
  if (!found) return;
  if (!found.isSocket()) throw Object.assign(new Error("it is there, and is no socket"), { code: "EEXIST" });
  const answers = await new Promise<boolean>((resolve, reject) => {
    const client = connect(path);
    client.once("connect", () => {
      client.destroy();
      resolve(true);
    });
    client.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else reject(error);
    });
  });
  if (answers) throw Object.assign(new Error("something answers there"), { code: "EADDRINUSE" });
}

/** The number of a group. Throws if there is none of that name. */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${group}:`));
  const id = line?.split(":")[2];
  if (id === undefined) throw new Error(`/etc/group has no group ${group}`);
  return Number(id);
}
