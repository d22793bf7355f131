import { MessageChannel } from "node:worker_threads";
import * as comlink from "comlink";
import type { Logger } from "pino";
import type { StoreDone, StoreOrder } from "../../protocol/backups/store-orders.js";
import { failed, type Outcome } from "../../protocol/storage/failures.js";
import type { ImageChange } from "../../protocol/storage/known-images.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { OutsideChange, OutsideNotice } from "../../protocol/storage/outside-change.js";
import type {
  ActorControl,
  ActorSettings,
  ActorTask,
  FetchCancelled,
  FetchMoved,
  LateReport,
  LogLine,
  SpanReport,
  SpawnReport,
  TransferRequest,
} from "../../protocol/threads/actor-contract.js";
import { createChangeMemory, openChangeCounter } from "../../protocol/threads/change-counter.js";
import { comlinkEndpoint } from "../../protocol/threads/comlink-endpoint.js";
import { type Link, openLink } from "../../protocol/threads/link.js";
import type { WorkReport } from "../../protocol/threads/work-report.js";
import type { SpanRecord } from "../../protocol/tracing/span.js";
import { createSoloThread } from "../threads/solo-thread.js";
import { createImageMirror, type ImageMirror } from "./image-mirror.js";
import { createKeptAnswers, createWitnessedAnswers, type KeptAnswers } from "./kept-answers.js";
import { openPoolHistory, type PoolHistory } from "./pool-history.js";

export interface ActorThreadOptions {
  readonly settings: ActorSettings;
  /** The memory of a ChildTable: main ends the processes in it if the thread crashes. */
  readonly children: SharedArrayBuffer;
  readonly log: Logger;
  /**
   * Fetches an image by the streaming worker, until `cancelled` is aborted. `onMoved` is called now and
   * then while bytes move.
   */
  fetch(order: FetchOrder, cancelled: AbortSignal, onMoved: () => void): Promise<Outcome<FetchReport>>;
  /** Has the streaming worker do what an order for a store says; as `fetch` does. */
  store(order: StoreOrder, cancelled: AbortSignal, onMoved: () => void): Promise<Outcome<StoreDone>>;
  /** Called with spans of traced operations, soon after they have ended. */
  onSpans(spans: readonly SpanRecord[]): void;
  /** Called with what others have changed in the pool. */
  onOutside(changes: readonly OutsideChange[]): void;
  /** Called with the duration of each spawn of a command. */
  onSpawn(ms: number): void;
}

/** What a handle is told by its threads. */
interface ThreadEvents {
  /** Called with all late work of the thread whenever it changes. */
  onLate(late: readonly WorkReport[]): void;
}

/** One thread of an actor. An actor that crashes gets another one. */
export interface ActorThread {
  /** A copy of the actor's images. It is empty until the thread has sent them all. */
  readonly mirror: ImageMirror;
  /** Answers to look-ups that still hold. */
  readonly kept: KeptAnswers;
  /** Keeps them from now on by this history of the pool, which other programs change too. */
  keepBy(historyFile: string): void;
  /** For operations. When the thread ends, pending calls fail with service.interrupted. */
  readonly link: Link;
  /** When the thread ends, pending calls never settle: race them against `ended`. */
  readonly control: comlink.Remote<ActorControl>;
  /** Resolves when the thread's only task has ended: with its error, or undefined. Never rejects. */
  readonly ended: Promise<unknown>;
  /** Ends the thread, if necessary in the middle of its task. */
  destroy(): Promise<void>;
}

export function startActorThread(options: ActorThreadOptions & ThreadEvents): ActorThread {
  const { settings, children, log } = options;
  const piscina = createSoloThread("pool-actor");
  const hot = new MessageChannel();
  const control = new MessageChannel();
  const reports = new MessageChannel();
  reports.port1.on("message", (report: LogLine | SpawnReport | SpanReport | LateReport) => {
    if ("spawnMs" in report) return options.onSpawn(report.spawnMs);
    if ("spans" in report) return options.onSpans(report.spans);
    if ("late" in report) return options.onLate(report.late);
    const [level, message, fields] = report;
    log[level](fields, message);
  });
  const mirror = createImageMirror();
  const changes = createChangeMemory();
  let kept = createKeptAnswers(openChangeCounter(changes));
  let history: PoolHistory | undefined;
  /** What cancels each transfer that runs, by its number. */
  const fetches = new Map<number, AbortController>();
  const link = openLink(
    hot.port1,
    async (ask) => {
      const request = ask as TransferRequest;
      const { number } = request;
      const cancelling = new AbortController();
      fetches.set(number, cancelling);
      const onMoved = () => link.notify({ moved: number } satisfies FetchMoved);
      const { signal } = cancelling;
      const done: Promise<Outcome<FetchReport | StoreDone>> =
        "fetch" in request
          ? options.fetch(request.fetch, signal, onMoved)
          : options.store(request.store, signal, onMoved);
      return done.finally(() => fetches.delete(number));
    },
    failed.interrupted,
    (notice: ImageChange | FetchCancelled | OutsideNotice) => {
      if ("outside" in notice) options.onOutside(notice.outside);
      else if ("cancelled" in notice) fetches.get(notice.cancelled)?.abort();
      else mirror.apply(notice);
    },
  );
  const task: ActorTask = {
    settings,
    hot: hot.port2,
    control: control.port2,
    log: reports.port2,
    children,
    changes,
  };
  const ended = piscina
    .run(task, { transferList: [hot.port2, control.port2, reports.port2] })
    .then(
      () => undefined,
      (error: unknown) => error,
    )
    .finally(() => {
      link.close();
      control.port1.close();
      reports.port1.close();
      history?.close();
    });
  return {
    mirror,
    get kept() {
      return kept;
    },
    keepBy(historyFile) {
      history = openPoolHistory(historyFile);
      kept = createWitnessedAnswers(history);
    },
    link,
    control: comlink.wrap<ActorControl>(comlinkEndpoint(control.port1)),
    ended,
    destroy: () => piscina.destroy(),
  };
}
