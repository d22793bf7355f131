import { succeed } from "../../../protocol/storage/failures.js";
import type { Properties, Zfs } from "../driver.js";
import { propertyFlags } from "./zfs-commands.js";

/**
 * The commands that send and receive streams. The driver only builds their argv: the
 * streaming worker runs them.
 */
export function openzfsTransfers(
  zfsCommand: readonly string[],
  volumeProperties: Properties,
): Pick<Zfs, "sendCommand" | "receiveCommand" | "finishReceive"> {
  return {
    sendCommand: (name) => [...zfsCommand, "send", name],
    receiveCommand: (target, marks) => [
      ...zfsCommand,
      "receive",
      "-u",
      ...propertyFlags({ ...volumeProperties, readonly: "on", ...marks }),
      target,
    ],
    // `zfs receive` has made the dataset visible when it ends.
    finishReceive: async () => succeed(null),
  };
}
