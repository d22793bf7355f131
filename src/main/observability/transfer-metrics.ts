import { Counter, Gauge, type Registry } from "prom-client";

/** A download under way, as the metrics see it. Times are by the clock of Date.now. */
interface MeasuredDownload {
  readonly path: "ring" | "bulk";
  /** Of PumpState. */
  readonly phase: "waiting" | "streaming" | "draining" | "flushing" | "cancelling" | "ended";
  /** Its client must read before more can be written. */
  readonly isBlocked: boolean;
  readonly startedAt: number;
  /** 0 before the first. */
  readonly lastByteAt: number;
}

/** An image fetch under way. */
interface MeasuredFetch {
  /** Its pool. */
  readonly owner: string;
  readonly receivedBytes: number;
  readonly repeats: number;
  readonly repeatedBytes: number;
  readonly startedAt: number;
  readonly lastByteAt: number;
}

/** An image fetch that has ended. `code`: "ok", or its failure's. */
export interface EndedFetch {
  /** Its pool. */
  readonly owner: string;
  readonly code: string;
  readonly receivedBytes: number;
  readonly repeats: number;
  readonly repeatedBytes: number;
}

/** What all fetches of a pool add up to, those that have ended and those under way. */
type Summed = (fetch: Pick<MeasuredFetch, "receivedBytes" | "repeats" | "repeatedBytes">) => number;

const SUMS: readonly (readonly [name: string, help: string, measure: Summed])[] = [
  [
    "imagestore_fetched_bytes_total",
    "Bytes of images that came from their services, those of fetches that failed too.",
    ({ receivedBytes, repeatedBytes }) => receivedBytes + repeatedBytes,
  ],
  [
    "imagestore_fetch_repeats_total",
    "Requests by which image fetches that broke went on, or began anew.",
    ({ repeats }) => repeats,
  ],
  [
    "imagestore_fetch_repeated_bytes_total",
    "Those of the fetched bytes that had come before.",
    ({ repeatedBytes }) => repeatedBytes,
  ],
];

export interface TransferSources {
  readonly pools: readonly string[];
  downloads(): readonly MeasuredDownload[];
  fetches(): readonly MeasuredFetch[];
  /** What clients send. */
  readonly streams: { readonly count: number; readonly receivedBytes: number };
}

/** A transfer of which no byte has moved for so long is stalled. */
const STALLED_MS = 10_000;

const PATHS = ["ring", "bulk"] as const;
/** A download whose reply has ended has its hold still. */
const PHASES = ["waiting", "streaming", "draining", "flushing", "cancelling", "releasing"] as const;
const WAITS = ["send", "client", "hold"] as const;

const phaseOf = ({ phase }: MeasuredDownload) => (phase === "ended" ? "releasing" : phase);

function waitOf(download: MeasuredDownload): (typeof WAITS)[number] {
  if (download.phase === "ended") return "hold";
  const takesRest = download.phase === "draining" || download.phase === "flushing";
  return download.isBlocked || takesRest ? "client" : "send";
}

const isStalled = ({ lastByteAt, startedAt }: Pick<MeasuredFetch, "lastByteAt" | "startedAt">) =>
  Date.now() - Math.max(lastByteAt, startedAt) > STALLED_MS;

/** Registers the metrics of downloads and image fetches. @returns what counts a fetch that has ended. */
export function addTransferMetrics(
  registry: Registry,
  { pools, downloads, fetches, streams }: TransferSources,
): (fetch: EndedFetch) => void {
  addDownloadMetrics(registry, downloads);
  addStreamMetrics(registry, streams);
  const registers = [registry];
  const perPool = (name: string, help: string, value: (running: readonly MeasuredFetch[]) => number) =>
    new Gauge({
      ...{ name, help, registers },
      labelNames: ["pool"],
      collect() {
        const all = fetches();
        for (const pool of pools) this.set({ pool }, value(all.filter(({ owner }) => owner === pool)));
      },
    });
  perPool("imagestore_fetches", "Image fetches under way.", (running) => running.length);
  perPool(
    "imagestore_fetches_stalled",
    "Those of them that have got no byte for 10 s.",
    (running) => running.filter(isStalled).length,
  );
  perPool(
    "imagestore_fetch_oldest_seconds",
    "Age of the oldest image fetch under way, 0 without.",
    (running) =>
      running.length === 0 ? 0 : (Date.now() - Math.min(...running.map((each) => each.startedAt))) / 1000,
  );
  const ended = new Counter({
    name: "imagestore_fetches_ended_total",
    help: "Image fetches that have ended, by outcome code.",
    labelNames: ["pool", "code"],
    registers,
  });
  const sums = SUMS.map(([name, help, measure]) => {
    /** Of the fetches that have ended. */
    const ofEnded = new Map(pools.map((pool) => [pool, 0]));
    new Counter({
      ...{ name, help, registers },
      labelNames: ["pool"],
      collect() {
        this.reset();
        for (const [pool, value] of ofEnded) this.inc({ pool }, value);
        for (const fetch of fetches()) this.inc({ pool: fetch.owner }, measure(fetch));
      },
    });
    return (fetch: EndedFetch) => ofEnded.set(fetch.owner, (ofEnded.get(fetch.owner) ?? 0) + measure(fetch));
  });
  return (fetch) => {
    ended.inc({ pool: fetch.owner, code: fetch.code });
    for (const add of sums) add(fetch);
  };
}

function addStreamMetrics(registry: Registry, streams: TransferSources["streams"]): void {
  const registers = [registry];
  new Gauge({
    name: "imagestore_client_streams",
    help: "Streams that clients send now.",
    registers,
    collect() {
      this.set(streams.count);
    },
  });
  new Counter({
    name: "imagestore_client_stream_bytes_total",
    help: "Bytes of streams that clients have sent, those that broke too.",
    registers,
    collect() {
      this.reset();
      this.inc(streams.receivedBytes);
    },
  });
}

function addDownloadMetrics(registry: Registry, downloads: TransferSources["downloads"]): void {
  const registers = [registry];
  new Gauge({
    name: "imagestore_downloads_by_phase",
    help: "Snapshot downloads that have a hold, by their way to the client and how far they are.",
    labelNames: ["path", "phase"],
    registers,
    collect() {
      for (const path of PATHS) for (const phase of PHASES) this.set({ path, phase }, 0);
      for (const each of downloads()) this.inc({ path: each.path, phase: phaseOf(each) });
    },
  });
  new Gauge({
    name: "imagestore_downloads_stalled",
    help: "Those of which no byte has moved for 10 s, by what they wait for.",
    labelNames: ["path", "waits_for"],
    registers,
    collect() {
      for (const path of PATHS) for (const waits_for of WAITS) this.set({ path, waits_for }, 0);
      for (const each of downloads().filter(isStalled))
        this.inc({ path: each.path, waits_for: waitOf(each) });
    },
  });
}
