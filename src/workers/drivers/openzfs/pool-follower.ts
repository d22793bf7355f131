import { setTimeout as sleep } from "node:timers/promises";
import type { OpenZfsSettings } from "../../../protocol/storage/pool-settings.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { failureOf } from "../../processes/command-failures.js";
import { type CommandEnd, succeeded } from "../../processes/run-command.js";
import type { FollowedCommand, Runner } from "../../processes/runner-link.js";
import type { FollowerEvents, PoolFollower } from "../seen-changes.js";
import { seenChange } from "./zevent-changes.js";
import { createZeventClock } from "./zevent-clock.js";
import { createZeventOrder } from "./zevent-order.js";
import { createZeventReader, type Zevent } from "./zevent-text.js";

interface PoolFollowerOptions extends FollowerEvents {
  readonly settings: Pick<OpenZfsSettings, "name" | "zpoolCommand">;
  /** Time limit of the command that lists events. */
  readonly timeoutMs: number;
  readonly runner: Pick<Runner, "run" | "follow">;
  readonly log: ActorLog;
}

/** The pause before another try. While tries fail it doubles up to the longest. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 60_000;
/** One that was followed for so long has not failed at once. */
const WORKED_MS = 5_000;
/** How often it is looked for lost events, and for one that says nothing. */
const CHECK_MS = 500;
/** The pool's lease is renewed each 3 min, and that is an event: one that says nothing for longer may hang. */
const SILENT_MS = 8 * 60_000;
/** All events that a kernel keeps: zfs_zevent_len_max of them, 512 by default. */
const LIST_BYTES = 64 * 1024 * 1024;

/**
 * Begins at once. What is followed: `zpool events -v -f`, without a pool, so that the numbers have no gaps. It begins with
 * what the kernel still has; so after a death it goes on where it was, if the kernel still has all of since.
 */
export function followPool(options: PoolFollowerOptions): PoolFollower {
  const { settings, timeoutMs, runner, log, onChange, onMissed } = options;
  const { name: pool, zpoolCommand } = settings;
  const order = createZeventOrder();
  const clock = createZeventClock();
  /** Aborted by `close`. */
  const closing = new AbortController();
  /** The command that runs; undefined between two. */
  let following: FollowedCommand | undefined;
  let restarts = 0;
  let seenUpTo = 0;
  /** When something was last heard, by performance.now(). */
  let heardAt = 0;
  /** Whether the newest try failed. Only a change of this is logged. */
  let isFailing = false;

  const see = (event: Zevent) => {
    const madeAt = clock.postedAt(event.time);
    const change = seenChange(pool, event);
    if (change) onChange({ ...change, madeAt });
    seenUpTo = Math.max(seenUpTo, madeAt);
  };

  /** `ranMs`: how long it was followed. */
  async function followOnce(): Promise<{ readonly end: CommandEnd; readonly ranMs: number }> {
    const limits = { timeoutMs, stdoutBytes: LIST_BYTES };
    const listed = await runner.run([...zpoolCommand, "events", "-v"], limits);
    if (!succeeded(listed) || closing.signal.aborted) return { end: listed, ranMs: 0 };
    const { fresh, isWhole } = order.resume(createZeventReader().add(`${listed.stdout}\n`));
    if (!isWhole) onMissed();
    fresh.forEach(see);
    const reader = createZeventReader();
    const startedAt = performance.now();
    heardAt = startedAt;
    following = runner.follow([...zpoolCommand, "events", "-v", "-f"], (text) => {
      heardAt = performance.now();
      for (const event of reader.add(text)) if (order.take(event)) see(event);
    });
    const end = await following.ended;
    following = undefined;
    return { end, ranMs: performance.now() - startedAt };
  }

  function report(end: CommandEnd, ranMs: number): void {
    const isWorking = ranMs >= WORKED_MS;
    if (isWorking) log.info("zpool events ended; it is started again", { pool, exit: end.exit });
    else if (!isFailing)
      log.warn("changes by others are not told: zpool events can't be followed; it is tried again", {
        pool,
        exit: end.exit,
        ...(succeeded(end) ? {} : failureOf(end).failure),
      });
    isFailing = !isWorking;
  }

  async function followOn(): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !closing.signal.aborted; restarts++) {
      const { end, ranMs } = await followOnce();
      if (closing.signal.aborted) return;
      report(end, ranMs);
      pauseMs = ranMs >= WORKED_MS ? FIRST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
      await sleep(pauseMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }

  const checks = setInterval(() => {
    if (order.findLoss()) onMissed();
    if (performance.now() - heardAt > SILENT_MS) following?.stop();
  }, CHECK_MS);
  checks.unref();
  void followOn();
  return {
    get isFollowing() {
      return following !== undefined;
    },
    get restarts() {
      return restarts;
    },
    get seenUpTo() {
      return seenUpTo;
    },
    restart: () => following?.stop(),
    close: () => {
      closing.abort();
      clearInterval(checks);
      following?.stop();
    },
  };
}
