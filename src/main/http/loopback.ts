import { isIPv4 } from "node:net";

const LOOPBACK_NAMES: readonly string[] = ["localhost", "ip6-localhost", "::1"];

/** Whether only this machine reaches what listens on a host. A name that is not known to be so is not. */
export function isLoopback(host: string): boolean {
  return LOOPBACK_NAMES.includes(host) || (isIPv4(host) && host.startsWith("127."));
}
