import { MessageChannel } from "node:worker_threads";
import * as comlink from "comlink";
import type { Logger } from "pino";
import { failed, type Outcome } from "../../protocol/storage/failures.js";
import type { ImageNews } from "../../protocol/storage/known-images.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type {
  ActorControl,
  ActorSettings,
  ActorTask,
  FetchRequest,
  LogLine,
  SpawnReport,
} from "../../protocol/threads/actor-contract.js";
import { comlinkEndpoint } from "../../protocol/threads/comlink-endpoint.js";
import { type Link, openLink } from "../../protocol/threads/link.js";
import { createSoloThread } from "../threads/solo-thread.js";
import { createImageMirror, type ImageMirror } from "./image-mirror.js";

export interface ActorThreadOptions {
  readonly settings: ActorSettings;
  /** pids of the thread's children, for main to end when it crashes. */
  readonly children: SharedArrayBuffer;
  readonly log: Logger;
  /** Fetches an image for the actor. */
  fetch(order: FetchOrder): Promise<Outcome<FetchReport>>;
  /** Called with the time that each spawn of a command took. */
  onSpawn(ms: number): void;
}

/** One thread of an actor, from its start to its end. */
export interface ActorThread {
  /** The actor's images; a new thread sends all of them anew. */
  readonly mirror: ImageMirror;
  /** Operations and their outcomes. Calls fail with service.interrupted when the thread ends. */
  readonly link: Link;
  /** Calls never settle when the thread ends: race them against `ended`. */
  readonly control: comlink.Remote<ActorControl>;
  /** Settles when the thread's one task has ended: with its error, or undefined. Never rejects. */
  readonly ended: Promise<unknown>;
  /** Ends the thread. */
  destroy(): Promise<void>;
}

export function startActorThread(options: ActorThreadOptions): ActorThread {
  const { settings, children, log } = options;
  const piscina = createSoloThread("pool-actor");
  const hot = new MessageChannel();
  const control = new MessageChannel();
  const reports = new MessageChannel();
  reports.port1.on("message", (report: LogLine | SpawnReport) => {
    if ("spawnMs" in report) return options.onSpawn(report.spawnMs);
    const [level, message, fields] = report;
    log[level](fields, message);
  });
  const mirror = createImageMirror();
  const link = openLink(
    hot.port1,
    async (ask) => options.fetch((ask as FetchRequest).fetch),
    failed.interrupted,
    (news) => mirror.apply(news as ImageNews),
  );
  const task: ActorTask = { settings, hot: hot.port2, control: control.port2, log: reports.port2, children };
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
    });
  return {
    mirror,
    link,
    control: comlink.wrap<ActorControl>(comlinkEndpoint(control.port1)),
    ended,
    destroy: () => piscina.destroy(),
  };
}
