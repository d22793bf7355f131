import type { Failure } from "../../protocol/storage/failures.js";
import type { PoolName, SnapshotName } from "../../protocol/storage/names.js";
import type { SendHold, SendTicket } from "../../protocol/storage/operations.js";
import type { JobStart } from "../jobs/job-records.js";
import type { DownloadPump, PumpState } from "./download-pump.js";

/** How the bytes come to the client: by the ring and main, or from the command itself. */
export type DownloadPath = "ring" | "bulk";

/** A download under way. Times are by the clock of Date.now. */
export interface DownloadState extends PumpState {
  readonly id: string;
  readonly path: DownloadPath;
  readonly pool: PoolName;
  readonly snapshot: SnapshotName;
  readonly requestId: string;
  /** The client's address. */
  readonly peer: string;
  readonly startedAt: number;
  /** Bytes that were handed to the client's socket. */
  readonly bytes: number;
  /** When the last of them were; 0 before the first. */
  readonly lastByteAt: number;
}

/** A download. `waitsFor`: bytes of its send, or the release of its hold; undefined while its client is slow. */
export interface ListedDownload {
  readonly download: Pick<Download, "pool" | "requestId" | "startedAt" | "ticket">;
  readonly waitsFor: { readonly kind: "stream" | "holds"; readonly since: number } | undefined;
}

/** A download that has a hold. */
export interface Download {
  readonly id: string;
  readonly path: DownloadPath;
  readonly pool: PoolName;
  readonly requestId: string;
  readonly startedAt: number;
  readonly ticket: SendTicket;
  readonly pump: DownloadPump;
  /** When its send and its reply had ended; undefined until then. */
  endedAt: number | undefined;
  /** The client's address. */
  readonly peer: string;
  /** The id of its token; undefined where the daemon asks for none. */
  readonly caller: string | undefined;
  /** What it is held to, bytes a second; undefined: nothing but what all are. */
  readonly rate: number | undefined;
  /** See PlannedDownload. */
  readonly wish: string;
  /** Of DownloadState. */
  readonly moved: { bytes: number; lastByteAt: number };
  /** Resolves when the hold is released, or a stop has come before it could be. Never rejects. */
  readonly done: Promise<void>;
}

/** A download has begun, or ended. */
export interface DownloadChange {
  readonly action: "started" | "ended";
  readonly download: Pick<Download, "pool" | "caller" | "requestId" | "ticket">;
  /** Why its client did not get every byte. */
  readonly failure?: Failure | undefined;
}

export function stateOf({ ticket, startedAt, moved, pump, ...download }: Download): DownloadState {
  const { id, path, pool, requestId, peer } = download;
  const begunAt = performance.timeOrigin + startedAt;
  const of = { id, path, pool, snapshot: ticket.name, requestId, peer };
  return { ...of, startedAt: begunAt, ...moved, ...pump.state() };
}

/** All holds of a download: each is released by itself. */
export function holdsOf({ name, tag, baseHolds = [] }: SendTicket): readonly SendHold[] {
  return [{ name, tag }, ...baseHolds];
}

/** The job that a download is. */
export function jobOf({ pool, ticket, caller, peer, requestId, moved, pump }: Download): JobStart {
  return {
    ...{ method: "download", pool, dataset: ticket.name, caller: caller ?? null, peer, requestId },
    repeatSafe: true,
    progress: () => ({
      phase: pump.state().phase === "waiting" ? "waiting" : "sending",
      bytes: moved.bytes,
      totalBytes: pump.length ?? null,
    }),
  };
}

export function listed(download: Download): ListedDownload {
  const { pump, endedAt } = download;
  if (endedAt !== undefined) return { download, waitsFor: { kind: "holds", since: endedAt } };
  const since = pump.waitsSince;
  return { download, waitsFor: since === undefined ? undefined : { kind: "stream", since } };
}
