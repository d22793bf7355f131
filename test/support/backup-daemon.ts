import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { type DaemonProcess, startDaemonProcess } from "./daemon.js";
import { must, type Volumes } from "./rpc.js";

export interface Backup {
  readonly id: string;
  readonly snapshot: string;
  readonly guid: string;
  readonly from: string | null;
  readonly bytes: number;
  readonly taken: string;
  readonly restorable: boolean;
  readonly encrypted: boolean;
}

export interface Backups {
  readonly backups: readonly Backup[];
  readonly why?: string;
  readonly warnings?: readonly string[];
  readonly damaged?: readonly string[];
  readonly leftovers?: readonly string[];
  readonly bytes?: number;
}

/** A daemon with an embedded pool, and what tests of backups do with it. */
export interface BackupDaemon {
  readonly process: DaemonProcess;
  readonly url: string;
  device(id: string): Promise<string>;
  /** SHA-256 of a volume's data. */
  digest(id: string): Promise<string>;
  write(id: string, at: number, data: Buffer): Promise<void>;
  snapshot(volume: string, name: string): Promise<void>;
  backUp(id: string, more?: object): Promise<Backups>;
  list(more?: object): Promise<Backups>;
  /** The names of all volumes. */
  volumes(): Promise<readonly string[]>;
}

export async function startBackupDaemon(config: Record<string, unknown>): Promise<BackupDaemon> {
  const process = await startDaemonProcess({ listen: { port: 0 }, timeouts: { graceMs: 1_000 }, ...config });
  const { url } = process;
  const device = async (id: string): Promise<string> => {
    const { volumes } = await must<Volumes>(url, "GetVolume", { id });
    return volumes[0]?.device ?? "";
  };
  return {
    process,
    url,
    device,
    digest: async (id) =>
      createHash("sha256")
        .update(readFileSync(await device(id)))
        .digest("hex"),
    write: async (id, at, data) => {
      await using file = await open(await device(id), "r+");
      await file.write(data, 0, data.length, at);
    },
    snapshot: async (id, dest) => void (await must(url, "CreateSnapshot", { id, dest })),
    backUp: (id, more = {}) => must<Backups>(url, "BackupSnapshot", { id, profile: "store", ...more }),
    list: (more = {}) => must<Backups>(url, "ListBackups", { profile: "store", ...more }),
    volumes: async () => {
      const { volumes } = await must<Volumes>(url, "ListVolumes", {});
      return volumes.map(({ id }) => id).sort();
    },
  };
}
