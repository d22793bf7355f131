import { join } from "node:path";
import type { Outcome } from "../../protocol/storage/failures.js";
import { hostOf, portOf } from "../../protocol/storage/url-place.js";
import type { Config } from "../config/schema.js";
import { listProcesses } from "../threads/process-list.js";
import { configText } from "./config-text.js";
import { processLines } from "./diagnosis-text.js";
import { findListeners, findLockHolders, type LockedFile, tryPort } from "./file-and-port-holders.js";
import { ask, ownVersions } from "./gather-diagnosis.js";
import { hideSecrets } from "./hidden-secrets.js";
import { alignRows, section } from "./text-layout.js";

const CONNECT_LIMIT_MS = 2_000;

/** What can be found about a daemon that does not tell it itself. */
export interface SilentDaemon {
  /** Where it was asked; undefined if that is not known. */
  readonly asked: URL | undefined;
  /** Where it listens on the network; undefined if that is not known. */
  readonly port: URL | undefined;
  /** Why there is no answer. */
  readonly why: string;
  readonly config: Outcome<Config>;
}

/** The text for a daemon that does not answer. Never rejects, and takes a few seconds at most. */
export async function diagnoseWithoutDaemon(silent: SilentDaemon): Promise<string> {
  const { asked, port: url, why, config } = silent;
  const files = config.ok ? await Promise.all(lockedFilesOf(config.value).map(findLockHolders)) : [];
  const port = url && portOf(url);
  const host = url ? hostOf(url) : "";
  const listeners = port === undefined ? undefined : await ask(() => findListeners(port));
  const pids = new Set([
    ...files.flatMap((file) => file.pids ?? []),
    ...(listeners?.ok ? listeners.value : []),
  ]);
  const processes = await Promise.all(
    Array.from(pids, async (pid) => processLines(await ask(() => listProcesses(pid)))),
  );
  const taken = port === undefined ? "not known" : await tryPort(host, port, CONNECT_LIMIT_MS);
  const sections = [
    `imagestore diagnosis of ${new Date().toISOString()}, WITHOUT the daemon\n`,
    section(
      "Daemon",
      alignRows([
        ["asked", asked?.href ?? "nobody"],
        ["answer", `NONE: ${why}`],
        ["connection", taken],
        ["listens there", pidsText(listeners?.ok ? listeners.value : [])],
      ]),
    ),
    section("Versions of this program", alignRows(ownVersions())),
    section("Files of the pools", alignRows(files.map(fileRow))),
    section("Processes that listen there or have the files", processes.flat()),
    section(
      "Configuration",
      config.ok ? configText(config.value).split("\n") : ["WRONG:", ...config.failure.message.split("\n")],
    ),
  ];
  return hideSecrets(sections.join("\n"));
}

/** The files that a daemon locks while it serves a pool. */
function lockedFilesOf({ dataDir, pools }: Config): string[] {
  return pools.flatMap((pool) => [
    join(dataDir, `${pool.name}.db`),
    ...(pool.driver === "embedded" ? [join(pool.folder, "pool.db")] : []),
  ]);
}

function fileRow({ path, pids }: LockedFile): string[] {
  if (pids === undefined) return [path, "is not there, or can't be looked at"];
  return [path, pids.length > 0 ? `locked by ${pidsText(pids)}` : "not locked: no daemon has it"];
}

function pidsText(pids: readonly number[]): string {
  return pids.length > 0 ? `pid ${pids.join(", ")}` : "no process that we may look into";
}
