import type { BodySource } from "../../protocol/http/transport.js";
import { type Failure, fail, internalFailure } from "../../protocol/storage/failures.js";
import { LONGEST_WRITE } from "../../protocol/threads/byte-ring.js";
import { createStreamPrefix, type StreamPrefix } from "./stream-prefix.js";
import type { SendHandle, SendListener, StreamingHandle } from "./streaming-handle.js";

export interface SharedSendOptions {
  readonly send: StreamingHandle["send"];
  /** Size of the ring between the streaming worker and the slowest client. */
  readonly windowBytes: number;
  /** How many of its first bytes a stream keeps for clients that join late. */
  readonly prefixBytes: number;
  /** How long a slow client may hold up the others before it gets a process for itself. */
  readonly lagMs: number;
}

/** Lets downloads of one snapshot that start at about the same time share one process. */
export interface SharedSends {
  /** Joins the send with the same `key` if its prefix is still kept, else starts one. Undefined: nobody joins it. */
  send(key: string | undefined, command: readonly string[], listener: SendListener): SharedSend;
  /** Whether a download with that `key` would join a send now. */
  canJoin(key: string | undefined): boolean;
}

/** One download's view of a send. After `onEnd` it still has the bytes that were not taken. */
export interface SharedSend extends BodySource {
  /** Of the send that it reads from now; others may share it. */
  readonly sendId: number;
  /** Stops taking bytes. If `onEnd` was not called yet, it is called later. */
  close(): void;
}

/** A download that reads from an upstream. */
interface Subscriber {
  readonly listener: SendListener;
  /** How many bytes of the stream it has taken. */
  position: number;
  isClosed: boolean;
  upstream: Upstream;
}

/**
 * A process, its ring, and the downloads that share them. All subscribers read in place;
 * the slowest one decides what the ring may overwrite.
 */
interface Upstream {
  /** What others find it by. Undefined: it serves a single detached subscriber. */
  readonly key: string | undefined;
  readonly command: readonly string[];
  readonly subscribers: Set<Subscriber>;
  readonly send: SendHandle;
  /** The position in the stream where the ring starts. */
  readonly start: number;
  /** The position in the stream up to which bytes have arrived. */
  end: number;
  /** Bytes from this position on are in the ring. Late subscribers find those before it in `prefix`. */
  released: number;
  readonly prefix: StreamPrefix;
  /** New downloads may join. While true, `prefix` holds every byte up to `end`. */
  isJoinable: boolean;
  /** Why it can't go on, though its process might. Then it is cancelled. */
  broken: Failure | undefined;
  /** The process is gone, and every subscriber's `onEnd` has been called or is about to be. */
  hasEnded: boolean;
  /** Runs while slow subscribers hold up the others. */
  lagTimer: NodeJS.Timeout | undefined;
}

/** A subscriber that has this much to take does not poll the ring: each poll leads to another message. */
const POLL_BELOW_BYTES = 64 * 1024;

const CANCELLED = fail("service.interrupted", "the download was given up").failure;

export function createSharedSends(options: SharedSendOptions): SharedSends {
  const joinable = new Map<string, Upstream>();

  function start(key: string | undefined, command: readonly string[], position: number): Upstream {
    const listener: SendListener = {
      onBytes: () => pollOrBreak(upstream),
      onEnd: (failure) => finish(upstream, failure),
    };
    const upstream: Upstream = {
      key,
      command,
      subscribers: new Set(),
      send: options.send(command, listener, position),
      start: position,
      end: position,
      released: position,
      prefix: createStreamPrefix(),
      isJoinable: key !== undefined,
      broken: undefined,
      hasEnded: false,
      lagTimer: undefined,
    };
    if (key !== undefined) joinable.set(key, upstream);
    return upstream;
  }

  /** Looks how far the stream has come, and wakes the subscribers if it has moved on. */
  function poll(upstream: Upstream): void {
    const end = upstream.start + upstream.send.poll();
    if (end === upstream.end) return;
    if (end > options.prefixBytes) stopJoins(upstream);
    if (upstream.isJoinable) copyToPrefix(upstream, end);
    upstream.end = end;
    for (const { listener } of upstream.subscribers) listener.onBytes();
    checkLag(upstream);
  }

  /** A bug, or no memory for the prefix: it ends this send, and no other. */
  function pollOrBreak(upstream: Upstream): void {
    try {
      poll(upstream);
    } catch (error) {
      upstream.broken ??= internalFailure(error).failure;
      stopJoins(upstream);
      if (!upstream.hasEnded) upstream.send.cancel();
    }
  }

  /** Copies new bytes before the ring overwrites them. */
  function copyToPrefix({ send, prefix }: Upstream, end: number): void {
    while (prefix.length < end) prefix.append(send.view(prefix.length, end - prefix.length));
  }

  function finish(upstream: Upstream, failure: Failure | undefined): void {
    clearTimeout(upstream.lagTimer);
    upstream.hasEnded = true;
    pollOrBreak(upstream);
    stopJoins(upstream);
    // A copy: one subscriber's end may make another one close.
    for (const subscriber of [...upstream.subscribers]) {
      subscriber.listener.onEnd(upstream.broken ?? failure);
      if (subscriber.isClosed) unsubscribe(subscriber);
    }
  }

  /** Removes a subscriber. The last one to leave an upstream that has ended frees its ring. */
  function unsubscribe(subscriber: Subscriber): void {
    const { upstream } = subscriber;
    const wasThere = upstream.subscribers.delete(subscriber);
    if (wasThere && upstream.subscribers.size === 0 && upstream.hasEnded) upstream.send.close();
  }

  function stopJoins(upstream: Upstream): void {
    upstream.isJoinable = false;
    if (upstream.key !== undefined && joinable.get(upstream.key) === upstream) joinable.delete(upstream.key);
  }

  /** Lets the ring overwrite what every subscriber has taken. */
  function releaseTaken(upstream: Upstream): void {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { position } of upstream.subscribers) lowest = Math.min(lowest, position);
    if (lowest < upstream.released || upstream.subscribers.size === 0) return;
    upstream.released = lowest;
    upstream.send.release(lowest - upstream.start);
    if (!upstream.isJoinable) upstream.prefix.clear();
  }

  /** Starts the lag timer when slow subscribers hold up others, and stops it when they no longer do. */
  function checkLag(upstream: Upstream): void {
    if (slowSubscribers(upstream).length === 0) {
      clearTimeout(upstream.lagTimer);
      upstream.lagTimer = undefined;
      return;
    }
    upstream.lagTimer ??= setTimeout(() => {
      upstream.lagTimer = undefined;
      for (const subscriber of slowSubscribers(upstream)) detach(subscriber);
      releaseTaken(upstream);
    }, options.lagMs);
  }

  /** The subscribers that are far behind, if the ring may be full and faster ones wait for room. */
  function slowSubscribers({ subscribers, end, released, hasEnded }: Upstream): Subscriber[] {
    const isFull = end - released > options.windowBytes * (1 - LONGEST_WRITE);
    if (subscribers.size < 2 || hasEnded || !isFull) return [];
    const farBehind = end - options.windowBytes / 2;
    const slow = [...subscribers].filter(({ position }) => position < farBehind);
    return slow.length < subscribers.size ? slow : [];
  }

  /**
   * Moves a slow subscriber to a process for itself, which starts at its position: the same
   * snapshot gives the same bytes each time it is sent. Without memory for that it fails alone.
   */
  function detach(subscriber: Subscriber): void {
    const { upstream } = subscriber;
    upstream.subscribers.delete(subscriber);
    try {
      subscriber.upstream = start(undefined, upstream.command, subscriber.position);
      subscriber.upstream.subscribers.add(subscriber);
    } catch (error) {
      subscriber.listener.onEnd(internalFailure(error).failure);
    }
  }

  function cancel(subscriber: Subscriber): void {
    const { upstream } = subscriber;
    if (!upstream.subscribers.has(subscriber)) return;
    if (upstream.hasEnded) return unsubscribe(subscriber);
    if (upstream.subscribers.size === 1) {
      // The last subscriber stays until the process is gone: `finish` calls its onEnd.
      stopJoins(upstream);
      return upstream.send.cancel();
    }
    unsubscribe(subscriber);
    releaseTaken(upstream);
    checkLag(upstream);
    queueMicrotask(() => subscriber.listener.onEnd(CANCELLED));
  }

  return {
    canJoin: (key) => key !== undefined && joinable.has(key),
    send: (key, command, listener) => {
      const joined = key === undefined ? undefined : joinable.get(key);
      // Deferred: the caller does not have its view yet.
      if (joined) queueMicrotask(listener.onBytes);
      const subscriber: Subscriber = {
        listener,
        position: 0,
        isClosed: false,
        upstream: joined ?? start(key, command, 0),
      };
      subscriber.upstream.subscribers.add(subscriber);
      return {
        get sendId() {
          return subscriber.upstream.send.id;
        },
        get available() {
          const { upstream, position } = subscriber;
          if (upstream.end - position < POLL_BELOW_BYTES && !upstream.hasEnded) poll(upstream);
          return upstream.end - position;
        },
        peek: (limit) => {
          const { upstream, position } = subscriber;
          if (position < upstream.released) return upstream.prefix.view(position, limit);
          return upstream.send.view(position - upstream.start, limit);
        },
        take: (bytes) => {
          subscriber.position += bytes;
          releaseTaken(subscriber.upstream);
          checkLag(subscriber.upstream);
        },
        close: () => {
          if (subscriber.isClosed) return;
          subscriber.isClosed = true;
          cancel(subscriber);
        },
      };
    },
  };
}
