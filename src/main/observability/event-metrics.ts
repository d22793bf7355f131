import { Counter, Gauge, type Registry } from "prom-client";

/** How subscribers get their events. */
export const SUBSCRIBER_KINDS = ["sse", "websocket"] as const;
export type SubscriberKind = (typeof SUBSCRIBER_KINDS)[number];

/** Why a subscriber is cut off. */
export const CUT_REASONS = ["slow", "revoked"] as const;
export type CutReason = (typeof CUT_REASONS)[number];

/** What is read at each scrape. */
export interface EventMeasures {
  /** WebSockets that are open, with subscriptions or without. */
  readonly channels: number;
  subscribers(kind: SubscriberKind): number;
  /** Those that were cut off since the start. */
  cut(kind: SubscriberKind, reason: CutReason): number;
}

/** The metrics of WebSockets and of those who get events. */
export function addEventMetrics(registry: Registry, events: EventMeasures): void {
  const registers = [registry];
  new Gauge({
    name: "imagestore_websockets",
    help: "WebSockets that are open.",
    registers,
    collect() {
      this.set(events.channels);
    },
  });
  new Gauge({
    name: "imagestore_event_subscribers",
    help: "Clients that get events, by how they get them.",
    labelNames: ["kind"],
    registers,
    collect() {
      for (const kind of SUBSCRIBER_KINDS) this.set({ kind }, events.subscribers(kind));
    },
  });
  new Counter({
    name: "imagestore_event_subscribers_cut_total",
    help: "Subscribers that were cut off, since more waited for them than may, or their token counts no more.",
    labelNames: ["kind", "reason"],
    registers,
    collect() {
      this.reset();
      for (const kind of SUBSCRIBER_KINDS)
        for (const reason of CUT_REASONS) this.inc({ kind, reason }, events.cut(kind, reason));
    },
  });
}
