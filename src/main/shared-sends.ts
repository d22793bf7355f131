import { fail } from "../protocol/failures.js";
import type { SendHandle, SendListener, Streaming } from "./streaming.js";

export interface SharedSendOptions {
  readonly send: Streaming["send"];
  /** Bytes that may be under way between the streaming worker and the slowest client. */
  readonly windowBytes: number;
  /** How much of its beginning a stream keeps for those who come late. */
  readonly ringBytes: number;
  /** How long one client may hold up the others before it gets a process of its own. */
  readonly lagMs: number;
}

/** One send for all downloads of a snapshot that start at about the same time. */
export interface SharedSends {
  /** Joins the send of the same `key` if its beginning is still there, else starts one. */
  send(key: string, command: readonly string[], listener: SendListener): SendHandle;
}

interface Member {
  readonly listener: SendListener;
  /** Bytes that the client has taken, as its credit tells. */
  takenBytes: number;
  /** It has got what came before it, and gets frames as they come. */
  isLive: boolean;
  source: Source;
}

/** A process and those who share it. Frames go to all; credit comes from the slowest. */
interface Source {
  /** Under which others find it; undefined: it is one member's own. */
  readonly key: string | undefined;
  readonly command: readonly string[];
  readonly members: Set<Member>;
  handle: SendHandle;
  sentBytes: number;
  grantedBytes: number;
  /** All frames from the beginning, as long as others may join. */
  beginning: Uint8Array[] | undefined;
  lag: NodeJS.Timeout | undefined;
}

const GIVEN_UP = fail("service.interrupted", "the download was given up").failure;

export function createSharedSends(options: SharedSendOptions): SharedSends {
  const joinable = new Map<string, Source>();

  function start(key: string | undefined, command: readonly string[], member: Member, skip: number): Source {
    const source: Source = {
      key,
      command,
      members: new Set([member]),
      handle: { credit: () => {}, cancel: () => {} },
      sentBytes: skip,
      grantedBytes: Math.max(skip, member.takenBytes + options.windowBytes),
      beginning: key === undefined ? undefined : [],
      lag: undefined,
    };
    const listener: SendListener = {
      onFrame: (frame) => {
        source.sentBytes += frame.length;
        source.beginning?.push(frame);
        if (source.sentBytes > options.ringBytes) close(source);
        for (const each of source.members) if (each.isLive) each.listener.onFrame(frame);
        watch(source);
      },
      onEnd: (failure) => {
        const waiting = source.beginning ?? [];
        close(source);
        clearTimeout(source.lag);
        for (const each of source.members) {
          if (!each.isLive) catchUp(each, waiting);
          each.listener.onEnd(failure);
        }
        source.members.clear();
      },
    };
    source.handle = options.send(command, source.grantedBytes - skip, listener, skip);
    if (key !== undefined) joinable.set(key, source);
    return source;
  }

  /** From now on nobody may join. */
  function close(source: Source): void {
    source.beginning = undefined;
    if (source.key !== undefined && joinable.get(source.key) === source) joinable.delete(source.key);
  }

  /** Gives a member what came before it. */
  function catchUp(member: Member, frames: readonly Uint8Array[]): void {
    member.isLive = true;
    for (const frame of frames) member.listener.onFrame(frame);
  }

  function join(source: Source, member: Member): void {
    source.members.add(member);
    // Not before the caller has its handle; no frame can come in between.
    queueMicrotask(() => {
      if (!member.isLive && source.members.has(member)) catchUp(member, source.beginning ?? []);
      watch(source);
    });
  }

  function grant(source: Source): void {
    let slowest = Number.POSITIVE_INFINITY;
    for (const { takenBytes } of source.members) slowest = Math.min(slowest, takenBytes);
    const bytes = slowest + options.windowBytes - source.grantedBytes;
    if (source.members.size === 0 || bytes <= 0) return;
    source.grantedBytes += bytes;
    source.handle.credit(bytes);
  }

  /** Looks whether some wait for others, and ends that when it lasts. */
  function watch(source: Source): void {
    const laggards = laggardsOf(source);
    if (laggards.length === 0) {
      clearTimeout(source.lag);
      source.lag = undefined;
      return;
    }
    source.lag ??= setTimeout(() => {
      source.lag = undefined;
      for (const member of laggardsOf(source)) part(source, member);
      grant(source);
    }, options.lagMs);
  }

  /** Who is far behind, while nothing more may come and somebody waits for it. Credit comes in steps: half a window. */
  function laggardsOf({ members, sentBytes, grantedBytes }: Source): Member[] {
    if (members.size < 2 || sentBytes < grantedBytes) return [];
    const farBehind = sentBytes - options.windowBytes / 2;
    const laggards = [...members].filter(({ takenBytes }) => takenBytes < farBehind);
    return laggards.length < members.size ? laggards : [];
  }

  /** Goes on for one member with a process of its own, from where it is: a send gives the same bytes each time. */
  function part(source: Source, member: Member): void {
    source.members.delete(member);
    member.source = start(undefined, source.command, member, source.sentBytes);
  }

  return {
    send: (key, command, listener) => {
      const member = { listener, takenBytes: 0, isLive: true } as Member;
      const found = joinable.get(key);
      if (found) {
        member.isLive = false;
        member.source = found;
        join(found, member);
      } else member.source = start(key, command, member, 0);
      return {
        credit: (bytes) => {
          member.takenBytes += bytes;
          grant(member.source);
          watch(member.source);
        },
        cancel: () => {
          const { source } = member;
          if (!source.members.has(member)) return;
          if (source.members.size === 1) {
            // The last one waits for the end of the process.
            close(source);
            return source.handle.cancel();
          }
          source.members.delete(member);
          grant(source);
          watch(source);
          queueMicrotask(() => listener.onEnd(GIVEN_UP));
        },
      };
    },
  };
}
