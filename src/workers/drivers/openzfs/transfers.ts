import { fail, succeed } from "../../../protocol/storage/failures.js";
import { type DatasetName, datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import type { OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import { failureOf } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { Properties } from "../driver.js";
import type { ZfsTransfers } from "../transfers-of-driver.js";
import { readResumeToken } from "./resume-token.js";
import { estimateByDryRun, featuresOf, sendArguments } from "./send-looks.js";
import { propertyFlags, type ZfsCommands } from "./zfs-commands.js";

/**
 * The commands that send and receive streams. The driver only builds their argv: the
 * streaming worker runs them.
 */
export function openzfsTransfers(
  { name: pool, zfsCommand }: Pick<OpenZfsSettings, "name" | "zfsCommand">,
  volumeProperties: Properties,
  commands: Pick<ZfsCommands, "zfs" | "zpool" | "change">,
): Omit<ZfsTransfers, "receiveToken" | "findBase"> {
  /** A property that is a number; undefined where zfs does not tell it. */
  async function numberOf(property: string, name: DatasetName | SnapshotName): Promise<number | undefined> {
    const end = await commands.zfs(["get", "-Hp", "-o", "value", property, name]);
    const text = succeeded(end) ? end.stdout.trim() : "";
    return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  }

  return {
    readResumeToken: (token) => readResumeToken(commands, token),
    sendFeatures: (name, terms, token) =>
      featuresOf(commands, pool, name, token?.flags ?? terms?.flags ?? [], token !== undefined),
    // The state of the pool does not change with a key: no answer of before may serve. A raw stream needs
    // none, nor does one that a token goes on with, if that one is raw.
    async checkSend(name, { flags = [], resume } = {}) {
      if (flags.includes("raw") || resume !== undefined) return succeed(null);
      const end = await commands.zfs(["get", "-Hp", "-o", "value", "keystatus", datasetOf(name)]);
      if (!succeeded(end)) return failureOf(end);
      if (end.stdout.trim() !== "unavailable") return succeed(null);
      const message = `the key of an encrypted dataset is not loaded (zfs load-key): cannot send '${name}'`;
      return fail("dataset.key_not_loaded", message);
    },
    // A stream has its blocks as they were before their compression, and a little around each.
    async estimateSend(name, terms) {
      if (terms) return estimateByDryRun(commands, name, terms);
      return numberOf("logicalreferenced", name);
    },
    writtenNow: (volume) => numberOf("written", volume),
    sendCommand: (name, terms) => [...zfsCommand, "send", ...sendArguments(name, terms)],
    receiveCommand: (target, marks, { isResumable = false, origin } = {}) => [
      ...zfsCommand,
      "receive",
      ...(isResumable ? ["-s"] : []),
      "-u",
      ...propertyFlags({ ...volumeProperties, readonly: "on", ...marks }),
      ...(origin === undefined ? [] : ["-o", `origin=${origin}`]),
      target,
    ],
    abandonReceive: (target) => commands.change(["receive", "-A", target]),
    // `zfs receive` has made the dataset visible when it ends.
    finishReceive: async () => succeed(null),
  };
}
