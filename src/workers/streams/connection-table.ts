import { readFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { endianness } from "node:os";

/** A TCP connection as the kernel lists it. */
export interface ConnectionRow {
  /** Of include/net/tcp_states.h: 1 is established. */
  readonly state: number;
  /** Bytes that were written to it and that the other side has not confirmed. */
  readonly queuedBytes: number;
}

/** The two ends of a connection, as a socket of Node has them. */
export interface ConnectionEnds {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** How the kernel names a connection: the file that lists it, and the beginning of its row there. */
export interface ConnectionKey {
  readonly file: "/proc/self/net/tcp" | "/proc/self/net/tcp6";
  readonly text: string;
}

const isLittle = endianness() === "LE";

const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, "0");

/** The bytes of an address, in the order of the network: 4 of IPv4, 16 of IPv6. */
function addressBytes(address: string): number[] {
  if (isIPv4(address)) return address.split(".").map(Number);
  const [plain = ""] = address.split("%");
  const groupsOf = (part: string) =>
    part.split(":").flatMap((group) => {
      if (group === "") return [];
      if (group.includes(".")) return group.split(".").map(Number);
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 0xff];
    });
  const [before = "", after] = plain.split("::");
  const first = groupsOf(before);
  const last = after === undefined ? [] : groupsOf(after);
  return [...first, ...Array<number>(16 - first.length - last.length).fill(0), ...last];
}

/** An address and a port as /proc/self/net/tcp has them: each word of four bytes as the processor reads it. */
function endText(address: string, port: number): string {
  const bytes = addressBytes(address);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4);
    words.push((isLittle ? word.reverse() : word).map((byte) => hex(byte, 2)).join(""));
  }
  return `${words.join("")}:${hex(port, 4)}`;
}

/** Undefined for a socket that is not connected any more. */
export function connectionKey(ends: ConnectionEnds): ConnectionKey | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = ends;
  if (localAddress === undefined || localPort === undefined) return undefined;
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return {
    file: isIPv4(localAddress) ? "/proc/self/net/tcp" : "/proc/self/net/tcp6",
    text: ` ${endText(localAddress, localPort)} ${endText(remoteAddress, remotePort)} `,
  };
}

/** What follows the ends in a row: the state, and the bytes in both queues. Source: proc_net_tcp.rst of the kernel. */
const ROW = /^([0-9A-F]{2}) ([0-9A-F]{8}):/;

/** The row of a connection in the text of such a file. Undefined: the kernel has forgotten it. */
export function findConnection(text: string, key: ConnectionKey): ConnectionRow | undefined {
  const at = text.indexOf(key.text);
  const found = at < 0 ? null : ROW.exec(text.slice(at + key.text.length, at + key.text.length + 12));
  if (found === null) return undefined;
  return { state: Number.parseInt(found[1] ?? "", 16), queuedBytes: Number.parseInt(found[2] ?? "", 16) };
}

/**
 * Looks for connections in the kernel's table, which is read once for all of them. It costs some ms, on
 * a large machine tens of them: the kernel walks all places that a connection may have, and most are
 * empty. Rejects where there is no such table.
 */
export async function readConnections(
  keys: readonly ConnectionKey[],
): Promise<ReadonlyMap<ConnectionKey, ConnectionRow>> {
  const texts = new Map<string, string>();
  for (const file of new Set(keys.map((key) => key.file))) texts.set(file, await readFile(file, "latin1"));
  const found = new Map<ConnectionKey, ConnectionRow>();
  for (const key of keys) {
    const row = findConnection(texts.get(key.file) ?? "", key);
    if (row) found.set(key, row);
  }
  return found;
}
