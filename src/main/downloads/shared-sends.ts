import { type Failure, fail } from "../../protocol/storage/failures.js";
import { LONGEST_WRITE } from "../../protocol/threads/byte-ring.js";
import type { BodySource } from "../http/transport.js";
import { type Beginning, createBeginning } from "./stream-prefix.js";
import type { SendHandle, SendListener, Streaming } from "./streaming-handle.js";

export interface SharedSendOptions {
  readonly send: Streaming["send"];
  /** Bytes that may be under way between the streaming worker and the slowest client. */
  readonly windowBytes: number;
  /** How much of its beginning a stream keeps for those who come late. */
  readonly beginningBytes: number;
  /** How long one client may hold up the others before it gets a process of its own. */
  readonly lagMs: number;
}

/** One send for all downloads of a snapshot that start at about the same time. */
export interface SharedSends {
  /** Joins the send of the same `key` if its beginning is still there, else starts one. */
  send(key: string, command: readonly string[], listener: SendListener): SharedSend;
}

/** A download's own view of a send. After `onEnd` it still has what has not been taken. */
export interface SharedSend extends BodySource {
  /** Nothing more will be taken. `onEnd` comes in any case. */
  close(): void;
}

interface Member {
  readonly listener: SendListener;
  /** How far the client is, in bytes of the stream. */
  position: number;
  isClosed: boolean;
  source: Source;
}

/** A process and those who share it. All read where its bytes are; the slowest makes room. */
interface Source {
  /** Under which others find it; undefined: it is one member's own. */
  readonly key: string | undefined;
  readonly command: readonly string[];
  readonly members: Set<Member>;
  readonly send: SendHandle;
  /** Where in the stream its process began. */
  readonly start: number;
  /** How far the stream has come. */
  end: number;
  /** From here on the bytes are in the ring; what is before, for those who came late, in `beginning`. */
  released: number;
  readonly beginning: Beginning;
  isJoinable: boolean;
  hasEnded: boolean;
  lag: NodeJS.Timeout | undefined;
}

/** Who has this much to take does not look for more: each look costs a message. */
const ENOUGH_BYTES = 64 * 1024;

const GIVEN_UP = fail("service.interrupted", "the download was given up").failure;

export function createSharedSends(options: SharedSendOptions): SharedSends {
  const joinable = new Map<string, Source>();

  function start(key: string | undefined, command: readonly string[], member: Member): Source {
    const { position } = member;
    const listener: SendListener = {
      onBytes: () => look(source),
      onEnd: (failure) => finish(source, failure),
    };
    const source: Source = {
      key,
      command,
      members: new Set([member]),
      send: options.send(command, listener, position),
      start: position,
      end: position,
      released: position,
      beginning: createBeginning(),
      isJoinable: key !== undefined,
      hasEnded: false,
      lag: undefined,
    };
    if (key !== undefined) joinable.set(key, source);
    return source;
  }

  /** Takes note of what has come, and wakes those who may wait for it. */
  function look(source: Source): void {
    const end = source.start + source.send.look();
    if (end === source.end) return;
    if (end > options.beginningBytes) close(source);
    if (source.isJoinable) keep(source, end);
    source.end = end;
    for (const { listener } of source.members) listener.onBytes();
    watch(source);
  }

  /** Copies what has come, before its place in the ring is used again. */
  function keep({ send, beginning }: Source, end: number): void {
    while (beginning.length < end) beginning.append(send.view(beginning.length, end - beginning.length));
  }

  function finish(source: Source, failure: Failure | undefined): void {
    look(source);
    close(source);
    clearTimeout(source.lag);
    source.hasEnded = true;
    for (const member of source.members) {
      member.listener.onEnd(failure);
      if (member.isClosed) dismiss(member);
    }
  }

  function dismiss(member: Member): void {
    const { source } = member;
    if (source.members.delete(member) && source.members.size === 0 && source.hasEnded) source.send.close();
  }

  /** From now on nobody may join. */
  function close(source: Source): void {
    source.isJoinable = false;
    if (source.key !== undefined && joinable.get(source.key) === source) joinable.delete(source.key);
  }

  /** Makes room as far as all have come. */
  function release(source: Source): void {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { position } of source.members) lowest = Math.min(lowest, position);
    if (lowest < source.released || source.members.size === 0) return;
    source.released = lowest;
    source.send.release(lowest - source.start);
    if (!source.isJoinable) source.beginning.clear();
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
      release(source);
    }, options.lagMs);
  }

  /** Who is far behind, while there may be no room for more and somebody waits for it. */
  function laggardsOf({ members, end, released, hasEnded }: Source): Member[] {
    const isFull = end - released > options.windowBytes * (1 - LONGEST_WRITE);
    if (members.size < 2 || hasEnded || !isFull) return [];
    const farBehind = end - options.windowBytes / 2;
    const laggards = [...members].filter(({ position }) => position < farBehind);
    return laggards.length < members.size ? laggards : [];
  }

  /** Goes on for one member with a process of its own, from where it is: a send gives the same bytes each time. */
  function part(source: Source, member: Member): void {
    source.members.delete(member);
    member.source = start(undefined, source.command, member);
  }

  function join(source: Source, member: Member): void {
    source.members.add(member);
    // Not before the caller has its view.
    queueMicrotask(member.listener.onBytes);
  }

  function giveUp(member: Member): void {
    const { source } = member;
    if (source.hasEnded) return dismiss(member);
    if (source.members.size === 1) {
      // The last one waits for the end of the process.
      close(source);
      return source.send.cancel();
    }
    dismiss(member);
    release(source);
    watch(source);
    queueMicrotask(() => member.listener.onEnd(GIVEN_UP));
  }

  return {
    send: (key, command, listener) => {
      const member = { listener, position: 0, isClosed: false } as Member;
      const found = joinable.get(key);
      if (found) join(found, member);
      member.source = found ?? start(key, command, member);
      return {
        get available() {
          const { source, position } = member;
          if (source.end - position < ENOUGH_BYTES && !source.hasEnded) look(source);
          return source.end - position;
        },
        peek: (limit) => {
          const { source, position } = member;
          if (position < source.released) return source.beginning.view(position, limit);
          return source.send.view(position - source.start, limit);
        },
        take: (bytes) => {
          member.position += bytes;
          release(member.source);
          watch(member.source);
        },
        close: () => {
          if (member.isClosed) return;
          member.isClosed = true;
          giveUp(member);
        },
      };
    },
  };
}
