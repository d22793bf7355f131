import { Gauge, type Registry } from "prom-client";
import {
  type ActorMeasures,
  COMMAND_BOUNDS,
  LOCK_WAIT_BOUNDS,
} from "../../protocol/threads/actor-measures.js";
import type { TimesOf } from "../../protocol/threads/time-tally.js";
import { histogramText, labelsText } from "./histogram-text.js";

/** What an actor has told of itself. */
export interface MeasuredActor {
  readonly pool: string;
  readonly answer: ActorMeasures;
}

/** Metrics that the actors count themselves. */
export interface ActorMetrics {
  /** Replaces all gauges. A pool that is not among `actors` has none. */
  set(actors: readonly MeasuredActor[]): void;
  /** The histograms of these actors, in the text exposition format. */
  text(actors: readonly MeasuredActor[]): string;
}

export function createActorMetrics(registry: Registry): ActorMetrics {
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const volumes = gauge("imagestore_volumes", "Volumes of the pool, those of images too.", ["pool"]);
  const snapshots = gauge("imagestore_snapshots", "Snapshots of the pool.", ["pool"]);
  const waiting = gauge("imagestore_fetches_waiting", "Image fetches that wait for their turn.", ["pool"]);
  const slots = gauge("imagestore_command_slots", "How many commands of a kind may run at once.", [
    "pool",
    "kind",
  ]);
  const commands = gauge("imagestore_commands", "Commands and calls that run, or wait for a slot.", [
    "pool",
    "kind",
    "state",
  ]);
  const followed = gauge(
    "imagestore_outside_events_followed",
    "1 while changes by others are followed. None where they are not to be.",
    ["pool"],
  );
  const followerRestarts = gauge(
    "imagestore_outside_events_restarts",
    "Times that zpool events had to be started again.",
    ["pool"],
  );
  return {
    set: (actors) => {
      for (const each of [volumes, snapshots, waiting, slots, commands, followed, followerRestarts])
        each.reset();
      for (const { pool, answer } of actors) {
        const { counts } = answer;
        if (counts.volumes !== undefined) volumes.set({ pool }, counts.volumes);
        if (counts.snapshots !== undefined) snapshots.set({ pool }, counts.snapshots);
        waiting.set({ pool }, answer.waitingFetches);
        if (answer.follower) {
          followed.set({ pool }, Number(answer.follower.isFollowing));
          followerRestarts.set({ pool }, answer.follower.restarts);
        }
        for (const { kind, most, running, waiting: queued } of answer.slots) {
          slots.set({ pool, kind }, most);
          commands.set({ pool, kind, state: "running" }, running);
          commands.set({ pool, kind, state: "waiting" }, queued);
        }
      }
    },
    text: (actors) => {
      const series = (names: readonly string[], of: (measures: ActorMeasures) => readonly TimesOf[]) =>
        actors.flatMap(({ pool, answer }) =>
          of(answer).map(({ of: words, times }) => ({
            labels: labelsText(["pool", ...names], [pool, ...words]),
            times,
          })),
        );
      const lockWaits = histogramText(
        {
          name: "imagestore_lock_wait_seconds",
          help: "How long work waited until it had all locks that it asked for, by the strongest mode.",
          bounds: LOCK_WAIT_BOUNDS,
        },
        series(["mode"], (measures) => measures.lockWaits),
      );
      const commandSeconds = histogramText(
        {
          name: "imagestore_command_seconds",
          help: "How long commands and calls of libzfs_core ran, without the wait for a slot.",
          bounds: COMMAND_BOUNDS,
        },
        series(["verb", "outcome"], (measures) => measures.commands),
      );
      return `${lockWaits}\n${commandSeconds}`;
    },
  };
}
