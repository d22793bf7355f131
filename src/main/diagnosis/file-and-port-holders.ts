import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { connect } from "node:net";

/** A file that processes may have locked. */
export interface LockedFile {
  readonly path: string;
  /** Undefined: there is no such file, or it can't be looked at. */
  readonly pids: readonly number[] | undefined;
}

/** The numbers of a device as the kernel prints them in /proc/locks. Source: makedev(3). */
function deviceText(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}`;
}

/** The processes that have a lock on a file, as SQLite takes it for a daemon's own files. */
export async function findLockHolders(path: string): Promise<LockedFile> {
  try {
    const [{ dev, ino }, locks] = await Promise.all([stat(path), readFile("/proc/locks", "latin1")]);
    const file = `${deviceText(dev)}:${ino}`;
    // `1: POSIX  ADVISORY  WRITE 17802 fe:00:2416848 1073741826 1073742335`, see proc_locks(5).
    const lines = locks.split("\n").map((line) => line.split(/\s+/));
    const pids = lines.flatMap((fields) => (fields[5] === file ? [Number(fields[4])] : []));
    return { path, pids: [...new Set(pids)].filter((pid) => pid > 0) };
  } catch {
    return { path, pids: undefined };
  }
}

/** Whether something takes connections: `connected`, or why not. */
export function tryPort(host: string, port: number, limitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (told: string) => {
      socket.destroy();
      resolve(told);
    };
    socket.setTimeout(limitMs, () => end(`no answer within ${limitMs} ms`));
    socket.once("connect", () => end("connected"));
    socket.once("error", (error) => end(error.message));
  });
}

/** The processes that listen on a TCP port of this machine, those that we may look into. */
export async function findListeners(port: number): Promise<readonly number[]> {
  const tables = await Promise.all(
    ["/proc/net/tcp", "/proc/net/tcp6"].map((path) => readFile(path, "latin1").catch(() => "")),
  );
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  // `sl local_address rem_address st … inode`; 0A: listening.
  const sockets = new Set(
    tables
      .flatMap((table) => table.split("\n").map((line) => line.trim().split(/\s+/)))
      .filter(([, address = "", , state]) => state === "0A" && address.endsWith(local))
      .map((fields) => `socket:[${fields[9]}]`),
  );
  if (sockets.size === 0) return [];
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
      const links = await Promise.all(names.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
      return links.some((link) => sockets.has(link)) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}
