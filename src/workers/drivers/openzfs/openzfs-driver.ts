import { fail, succeed } from "../../../protocol/storage/failures.js";
import { ZVOL_DEVICES } from "../../../protocol/storage/names.js";
import { DESTROY_TIMEOUT_FACTOR, type OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { failureOf } from "../../processes/command-failures.js";
import { type RunCommand, succeeded } from "../../processes/run-command.js";
import type { CallLibrary } from "../../processes/slots.js";
import { type Properties, sharedBlocks, type Zfs } from "../driver.js";
import { openzfsChanges } from "./changes.js";
import { createLibraryChanges } from "./library-changes.js";
import { createLibraryCreates } from "./library-creates.js";
import { createLibraryWay } from "./library-way.js";
import { volumePropertiesOf, wholeBlocks } from "./new-volume-properties.js";
import { type PoolLease, takeLease } from "./pool-lease.js";
import { createPoolStateReader } from "./pool-state.js";
import { openzfsReads } from "./reads.js";
import { volumeSettings } from "./setting-commands.js";
import { openzfsTransfers } from "./transfers.js";
import { createVolumeLooks } from "./volume-looks.js";
import { createZfsCommands } from "./zfs-commands.js";
import { waitForZvolDevice } from "./zvol-device.js";

interface OpenZfsOptions {
  readonly settings: OpenZfsSettings;
  /** Properties of new volumes, clones and images. */
  readonly volumeProperties: Properties;
  /** Time limit of a command. */
  readonly timeoutMs: number;
  readonly log: ActorLog;
  /** Calls libzfs_core in the runner. */
  readonly call: CallLibrary;
}

/**
 * Opens a pool through the commands `zfs` and `zpool` of OpenZFS 2.1 or newer, and through libzfs_core.
 * Starts nothing by itself; call `checkPool` first, which also decides whether the library may
 * be called, and look-ups cached.
 */
export function openOpenZfs(options: OpenZfsOptions, run: RunCommand): Zfs {
  const { settings, timeoutMs, log, call } = options;
  const volumeProperties = volumePropertiesOf(options.volumeProperties);
  const pool = settings.name;
  const commands = createZfsCommands(settings, timeoutMs, run);
  const poolState = createPoolStateReader({
    pool,
    command: settings.kstatCommand,
    log,
    run: async (argv) => {
      const end = await commands.read(argv);
      return succeeded(end) ? end.stdout : undefined;
    },
    sync: async () => succeeded(await commands.zpool(["sync", pool])),
  });
  const destroyTimeoutMs = timeoutMs * DESTROY_TIMEOUT_FACTOR;
  const library = createLibraryWay({ settings, timeoutMs, destroyTimeoutMs, log, call, commands });
  const creates = createLibraryCreates({ pool, volumeProperties, library, commands });
  const changes = createLibraryChanges(pool, library);
  const reads = openzfsReads(settings, commands, library, changes.listTag, poolState.read);

  /** Set by checkPool. */
  let poolGuid = "";
  /** Set by a claim that succeeds. */
  let lease: PoolLease | undefined;

  return {
    driver: "openzfs",
    ...reads,
    ...openzfsChanges(
      { settings, volumeProperties, destroyTimeoutMs, log },
      commands,
      library,
      { ...creates, ...changes },
      reads.find,
    ),
    ...volumeSettings(pool, commands),
    ...openzfsTransfers(settings, volumeProperties.ofReceived, commands),
    ...createVolumeLooks(library, commands),
    volumeSize: (size) => wholeBlocks(size, volumeProperties.blockBytes),

    async checkPool() {
      const end = await commands.zpool(["list", "-Hp", "-o", "health,guid", pool]);
      if (!succeeded(end)) {
        const refused = failureOf(end);
        if (refused.failure.code !== "dataset.not_found") return refused;
        return fail("pool.not_found", `pool ${pool} does not exist or is not imported`);
      }
      const [health = "", guid = ""] = end.stdout.trim().split("\t");
      poolGuid = guid;
      await library.open();
      await creates.open();
      if (settings.dispatch === "grouped") await poolState.open(guid);
      const version = await commands.zfs(["version"]);
      return succeed({
        health,
        version: version.stdout.split("\n")[0]?.trim() || "unknown",
        historyFile: poolState.historyFile,
      });
    },

    async claim(owner) {
      const taken = await takeLease({ pool, guid: poolGuid, owner, commands, log });
      if (!taken.ok) return taken;
      lease = taken.value;
      return succeed(null);
    },

    changeState: poolState.read,
    devices: ZVOL_DEVICES,
    waitForDevice: (volume) => waitForZvolDevice(volume, settings.deviceWaitMs),
    ...sharedBlocks,
    notices: async () => [],
    get commandsRun() {
      return commands.commandsRun;
    },
    close: async () => lease?.release(),
  };
}
