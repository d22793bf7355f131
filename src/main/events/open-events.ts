import type { Channel } from "../../protocol/http/channel.js";
import type { JobRecord } from "../../protocol/storage/job-record.js";
import type { OutsideChange } from "../../protocol/storage/outside-change.js";
import type { Caller } from "../access/caller.js";
import type { Config } from "../config/schema.js";
import type { DownloadChange } from "../downloads/running-download.js";
import type { JobAction } from "../jobs/job-registry.js";
import type { CallReport } from "../observability/call-report.js";
import type { CutReason, EventMeasures, SubscriberKind } from "../observability/event-metrics.js";
import { publishCall } from "./call-events.js";
import { type ChannelEvents, openChannelEvents } from "./channel-events.js";
import { createEventStreams, type EventStreams } from "./event-stream.js";
import { createEventHub } from "./hub.js";

/** Comes before the 30 s after which many proxies end a connection on which nothing moves. */
const KEEP_ALIVE_MS = 15_000;
/** How long a stop waits for clients to take the last event. */
const END_MS = 1_000;

/** What happens in the daemon, told to whoever wants to know. */
export interface Events {
  readonly serve: EventStreams;
  /** Has events on a channel, by its methods Subscribe and Unsubscribe. */
  openOn(channel: Channel, caller: Caller): ChannelEvents;
  /** Tells of a call, whose `answer` is that of CallOptions.report. */
  onCall(call: CallReport, answer: unknown): void;
  onDownload(change: DownloadChange): void;
  onPool(pool: string, isReady: boolean): void;
  /** Tells what others than this daemon have changed. */
  onOutside(pool: string, changes: readonly OutsideChange[]): void;
  onJob(job: JobRecord, action: JobAction): void;
  readonly measures: EventMeasures;
  /** Tells all subscribers that the daemon stops, and ends their connections. */
  close(): Promise<void>;
}

/** @param runId numbers of events count from 1 within a run. */
export function openEvents(
  { limits: { events, subscriberBytes } }: Pick<Config, "limits">,
  runId: string,
): Events {
  const hub = createEventHub(runId, events);
  /** Those that are open, with subscriptions or without. */
  const channels = new Set<ChannelEvents>();
  /** By kind and reason. */
  const cuts = new Map<string, number>();
  const cut = (kind: SubscriberKind, reason: CutReason) => cuts.get(`${kind} ${reason}`) ?? 0;
  const counting = (kind: SubscriberKind) => (reason: CutReason) =>
    void cuts.set(`${kind} ${reason}`, cut(kind, reason) + 1);
  const ofStreams = { hub, subscriberBytes, keepAliveMs: KEEP_ALIVE_MS, endMs: END_MS };
  const ofChannels = { hub, subscriberBytes, lookMs: KEEP_ALIVE_MS, onCut: counting("websocket") };
  return {
    serve: createEventStreams({ ...ofStreams, onCut: counting("sse") }),
    openOn: (channel, caller) => {
      const opened = openChannelEvents(ofChannels, channel, caller);
      const onClose = () => {
        channels.delete(opened);
        opened.onClose();
      };
      channels.add(opened);
      // Nothing else would tell it. It can't be closed while it opens.
      if (hub.isClosed) setImmediate(opened.onStop);
      return { ...opened, onClose };
    },
    onCall: (call, answer) => publishCall(call, answer, hub.publish),
    onDownload: ({ action, download: { pool, ticket, caller, requestId }, failure }) => {
      const told = failure && { code: failure.code, message: failure.message };
      hub.publish({ topic: "download", action, pool, id: ticket.name, caller, requestId, failure: told });
    },
    onPool: (pool, isReady) =>
      hub.publish({
        topic: "pool",
        action: isReady ? "started" : "ended",
        pool,
        id: pool,
        origin: "outside",
      }),
    onOutside: (pool, changes) => {
      for (const change of changes) hub.publish({ ...change, pool, origin: "outside" });
    },
    onJob: (job, action) => {
      const { pool, dataset: id, caller, requestId, failure } = job;
      const told = failure ? { code: failure.code, message: failure.message } : undefined;
      const by = { caller: caller ?? undefined, requestId };
      hub.publish({ topic: "job", action, pool, id, ...by, failure: told, job });
    },
    measures: {
      get channels() {
        return channels.size;
      },
      subscribers: hub.subscribers,
      cut,
    },
    close: async () => {
      await hub.close();
      for (const channel of channels) channel.onStop();
    },
  };
}
