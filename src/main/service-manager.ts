import type { Logger } from "pino";
import { createNotifyProcess } from "./notify-process.js";
import { isReady, type Readiness } from "./pools/readiness.js";

/**
 * Tells systemd how the daemon is, where a unit of `Type=notify` has started it. Elsewhere it does
 * nothing. Node has no datagram sockets of Unix, so each message is a run of systemd-notify(1);
 * docs/decisions/packaging-deb.md weighs that. No call rejects.
 */
export interface ServiceManager {
  /** The pools are being opened. While main lives, the start gets the time that it needs. */
  starting(pools: readonly string[]): void;
  /**
   * All pools are open. From now on each beat asks all actors. Their answers are only told: what feeds
   * systemd's watchdog is that main has asked, and that each question has ended within its limit.
   */
  ready(ask: (limitMs: number) => Promise<Readiness>, readyMs: number): void;
  /** The daemon stops, within `limitMs`. */
  stopping(limitMs: number): void;
  /** It could not start. Resolves when systemd knows why. */
  failed(reason: string): Promise<void>;
}

/** While pools are being opened, systemd hears of it so often, and waits so long for the next time. */
const START_BEAT_MS = 5_000;
const START_PATIENCE_MS = 60_000;
/** How often a status is looked at where the unit has no watchdog. */
const STATUS_BEAT_MS = 15_000;
/** The status of a shell that finds no program. */
const NOT_FOUND = 127;

const microseconds = (ms: number) => String(ms * 1_000);

/** The unit's WatchdogSec; undefined where it has none, or where it means another process. Source: sd_watchdog_enabled(3). */
function watchdogMs({ WATCHDOG_USEC: usec, WATCHDOG_PID: pid }: NodeJS.ProcessEnv): number | undefined {
  const isOurs = pid === undefined || Number(pid) === process.pid;
  return isOurs && Number(usec) > 0 ? Number(usec) / 1_000 : undefined;
}

/** One line for `systemctl status`: pools that are not as they should be come with their reason. */
export function statusOf(readiness: Readiness): string {
  const pools = [...readiness.pools].map(([pool, state]) => {
    const late = readiness.late.get(pool)?.length ?? 0;
    const notices = readiness.notices.get(pool)?.length ?? 0;
    return `${pool} ${state}${late > 0 ? `, ${late} late` : ""}${notices > 0 ? `, ${notices} notices` : ""}`;
  });
  return `${isReady(readiness) ? "serving" : "NOT READY"}: ${pools.join("; ")}`;
}

export function createServiceManager(env: NodeJS.ProcessEnv, log: Logger): ServiceManager {
  const notifyProcess = createNotifyProcess(env);
  /** Set while there is somebody to tell: systemd, reached by systemd-notify. */
  let isHeard = Boolean(env.NOTIFY_SOCKET);
  /** The last message, once it was sent: they keep their order. */
  let sent: Promise<void> = Promise.resolve();
  /** The beat of the present state: starting, then ready, then none. */
  let beat: NodeJS.Timeout | undefined;

  function send(message: Readonly<Record<string, string>>): Promise<void> {
    if (!isHeard) return sent;
    // A line break would begin another variable.
    const words = Object.entries(message).map(
      ([name, value]) => `${name}=${value.replace(/\s*\n\s*/g, "; ")}`,
    );
    sent = sent.then(() => notify(words));
    return sent;
  }

  async function notify(words: readonly string[]): Promise<void> {
    if (!isHeard) return;
    const status = await notifyProcess.send(words);
    if (status === 0) return;
    log.warn({ words, status }, "systemd could not be told");
    isHeard = status !== NOT_FOUND;
  }

  function repeat(work: () => void, periodMs: number): void {
    clearInterval(beat);
    if (!isHeard) return;
    beat = setInterval(work, periodMs);
    beat.unref();
    work();
  }

  return {
    starting: (pools) => {
      const STATUS = `opening ${pools.join(", ")}`;
      repeat(
        () => void send({ STATUS, EXTEND_TIMEOUT_USEC: microseconds(START_PATIENCE_MS) }),
        START_BEAT_MS,
      );
    },
    ready: (ask, readyMs) => {
      const limitMs = watchdogMs(env);
      const periodMs = limitMs === undefined ? STATUS_BEAT_MS : limitMs / 2;
      /** Set while the actors are being asked, and systemd is being told. */
      let isAsking = false;
      let lastStatus = "";
      async function tell(): Promise<void> {
        if (isAsking) return;
        isAsking = true;
        const readiness = await ask(Math.min(readyMs, periodMs / 2));
        const STATUS = statusOf(readiness);
        const alive = limitMs === undefined ? {} : { WATCHDOG: "1" };
        if (!readiness.stopping && (limitMs !== undefined || STATUS !== lastStatus))
          await send({ ...alive, STATUS });
        lastStatus = STATUS;
        isAsking = false;
      }
      void send({ READY: "1", STATUS: "serving" });
      repeat(() => void tell(), periodMs);
    },
    stopping: (limitMs) => {
      clearInterval(beat);
      void send({ STOPPING: "1", STATUS: "stopping", EXTEND_TIMEOUT_USEC: microseconds(limitMs) });
    },
    failed: (reason) => {
      clearInterval(beat);
      return send({ STATUS: reason });
    },
  };
}
