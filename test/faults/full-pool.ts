import { setTimeout as sleep } from "node:timers/promises";
import { type Vm, vmExec } from "../support/vm.js";
import type { Fault } from "./campaign.js";

const FULL_MS = 4_000;
const LEFT_BYTES = 256 * 1024;
const MIB = 1024 * 1024;
/** Room for a volume of the clients or two. */
const LEAST_BYTES = 16 * MIB;

/** A pool of the VM without room for a while: by a quota, and by a volume that takes all there is. */
export function fullPoolFaults(vm: Vm, pool: string): readonly Fault[] {
  const zfs = (...args: string[]) => vmExec(vm, ["zfs", ...args]);
  const bytesOf = (property: string) => Number(zfs("get", "-Hp", "-o", "value", property, pool));
  return [
    async () => {
      zfs("set", `quota=${bytesOf("used") + LEFT_BYTES}`, pool);
      await sleep(FULL_MS);
      zfs("set", "quota=none", pool);
      return "a quota without room";
    },
    async () => {
      const fillers: string[] = [];
      // Each reserves room for its metadata too, and so a little more than its size.
      for (let left = bytesOf("available"); left > LEAST_BYTES; left = bytesOf("available")) {
        const filler = `${pool}/filler${fillers.length}`;
        zfs("create", "-V", String(Math.floor((left * 0.9) / MIB) * MIB), filler);
        fillers.push(filler);
      }
      await sleep(FULL_MS);
      for (const filler of fillers) zfs("destroy", "-r", filler);
      return "a full pool";
    },
  ];
}
