import type { Logger } from "pino";
import type { PoolName } from "../../protocol/storage/names.js";
import { stillDeadlineMs, type WorkReport } from "../../protocol/threads/work-report.js";
import type { ListedDownload } from "./running-download.js";

/** Names the downloads whose send gives nothing, or whose hold can't be released. It ends none. */
export interface DownloadWatch {
  lateOf(pool: PoolName): readonly WorkReport[];
  stop(): Promise<void>;
}

interface WatchOptions {
  list(): readonly ListedDownload[];
  readonly log: Logger;
  /** They say how long a download may wait for its send. A client that takes nothing has a limit of its own. */
  readonly timeouts: { readonly commandMs: number; readonly lateMs: number };
}

/** Longest period of the checks. It is a quarter of `lateMs` if that is shorter. */
const LONGEST_PERIOD_MS = 5_000;

/** A download that was late at the last check. */
interface Late {
  readonly id: number;
  /** Its age when it is logged again. */
  nextReportMs: number;
  report: WorkReport;
}

export function watchDownloads({ list, log, timeouts }: WatchOptions): DownloadWatch {
  const stillMs = stillDeadlineMs(timeouts);
  const late = new Map<ListedDownload["download"], Late>();
  let lastId = 0;
  const timer = setInterval(check, Math.min(LONGEST_PERIOD_MS, Math.ceil(timeouts.lateMs / 4)));
  timer.unref();

  function check(): void {
    const now = performance.now();
    const listed = new Map(list().map((each) => [each.download, each]));
    for (const [download, { report }] of late) {
      if (isLate(listed.get(download), now)) continue;
      late.delete(download);
      const ended = listed.has(download) ? "a late download goes on" : "a late download has ended";
      log.warn({ pool: download.pool, ...report, ms: Math.round(now - download.startedAt) }, ended);
    }
    for (const each of listed.values()) {
      if (!isLate(each, now)) continue;
      const { download } = each;
      const known = late.get(download);
      const id = known?.id ?? ++lastId;
      const report = reportOf(id, each, now);
      late.set(download, { id, nextReportMs: known?.nextReportMs ?? 0, report });
      if (known && report.ms < known.nextReportMs) continue;
      late.set(download, { id, nextReportMs: 2 * report.ms, report });
      const { command } = download.ticket;
      // The command line may have paths of this machine, which are for the log alone.
      log.warn({ pool: download.pool, ...report, argv: command }, "a download is late");
    }
  }

  const isLate = (each: ListedDownload | undefined, now: number): boolean =>
    each?.waitsFor !== undefined && now - each.waitsFor.since > stillMs;

  function reportOf(id: number, { download, waitsFor }: ListedDownload, now: number): WorkReport {
    const { ticket, requestId, startedAt } = download;
    const waitedMs = Math.round(waitsFor ? now - waitsFor.since : 0);
    const isSending = waitsFor?.kind === "stream";
    const wait = isSending
      ? ({ kind: "stream", what: `bytes of ${ticket.name}`, ms: waitedMs, stillMs: waitedMs } as const)
      : ({ kind: "holds", what: `release ${ticket.name} ${ticket.tag}`, ms: waitedMs } as const);
    return {
      id,
      name: "download",
      requestId,
      datasets: [ticket.name],
      ms: Math.round(now - startedAt),
      lateMs: Math.round(waitedMs - stillMs),
      locks: [],
      waitsFor: [wait],
      commands: [],
    };
  }

  return {
    lateOf: (pool) => [...late].flatMap(([download, { report }]) => (download.pool === pool ? [report] : [])),
    stop: async () => clearInterval(timer),
  };
}
