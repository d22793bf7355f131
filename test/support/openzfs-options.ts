import type { PoolName } from "../../src/protocol/storage/names.js";
import { createActorLog } from "../../src/protocol/threads/actor-log.js";
import type { openOpenZfs } from "../../src/workers/drivers/openzfs/openzfs-driver.js";

/** The options of a driver of the pool `ut`, whose commands a test answers, and which logs nothing. */
export const OPENZFS_OPTIONS: Parameters<typeof openOpenZfs>[0] = {
  settings: {
    name: "ut" as PoolName,
    driver: "openzfs",
    zfsCommand: ["zfs"],
    zpoolCommand: ["zpool"],
    kstatCommand: [],
    library: "off",
    outsideEvents: "off",
    dispatch: "grouped",
    deviceWaitMs: 0,
  },
  volumeProperties: {},
  timeoutMs: 1000,
  log: createActorLog(() => {}, false),
  call: async () => ({ exit: { kind: "unusable", why: "a test" }, ms: 0 }),
};
