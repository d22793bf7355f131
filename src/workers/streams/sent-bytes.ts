import { execFile } from "node:child_process";
import { isIPv4 } from "node:net";

/** The two ends of a connection. */
export interface KnownEnds {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** ss(8), of iproute2. The kernel tells the counters of a connection only by netlink, which Node does not speak. */
const PROGRAM = "ss";
const TIMEOUT_MS = 2_000;
/** The first look fails only if bytes are confirmed while the kernel writes it. */
const LOOKS = 3;

function endText(address: string, port: number): string {
  return isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`;
}

/** Prints TCP connections with these ends: a line each, no names, no header, with the kernel's counters. */
function argumentsFor({ localAddress, localPort, remoteAddress, remotePort }: KnownEnds): readonly string[] {
  const ends = ["src", endText(localAddress, localPort), "dst", endText(remoteAddress, remotePort)];
  return ["-tinHO", "state", "established", ...ends];
}

/**
 * What was written to an open connection, of what ss prints of it, where nobody writes to it any more.
 * Undefined: that can't be told for sure.
 *
 * Two sums of the kernel's counters are compared. What was confirmed and what is queued may be too much,
 * never too little: the queue is read before the rest. What was sent, but for what was sent again, and
 * what was not sent may be too little, never too much: a packet that could not be sent again is
 * counted as if it had been. So if they are equal, both are right.
 */
export function writtenIn(text: string): number | undefined {
  const [line = "", ...others] = text.trim().split("\n");
  // With the filter for a state there is no column for it.
  const queued = /^\d+ +(\d+) /.exec(line)?.[1];
  const sent = /\bbytes_sent:(\d+)/.exec(line)?.[1];
  if (others.length > 0 || queued === undefined || sent === undefined) return undefined;
  // Those that are 0 are not printed.
  const orZero = (name: string) => Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0);
  const most = orZero("bytes_acked") + Number(queued);
  const least = Number(sent) - orZero("bytes_retrans") + orZero("notsent");
  return most === least ? most : undefined;
}

function runSs(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const env = { ...process.env, LC_ALL: "C" };
    execFile(PROGRAM, args, { timeout: TIMEOUT_MS, env }, (error, stdout) => resolve(error ? "" : stdout));
  });
}

/**
 * What was written to a connection that is open still, and to which nobody writes any more; whoever
 * wrote it. Undefined: that can't be told, without ss for one.
 */
export async function countSentBytes(ends: KnownEnds): Promise<number | undefined> {
  for (let looks = 0; looks < LOOKS; looks++) {
    const text = await runSs(argumentsFor(ends));
    const written = writtenIn(text);
    if (written !== undefined || text === "") return written;
  }
  return undefined;
}
