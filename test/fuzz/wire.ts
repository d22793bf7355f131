import { connect, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import type { Case } from "./cases.js";
import { createReplyReader, misfit, problemOf, type WireReply } from "./replies.js";

/** An answer, or the end of a connection, must come within this. A machine in CI is busy. */
const ANSWER_LIMIT_MS = 20_000;
/** After this an idle connection may be closed at the moment of its next request. */
const REUSE_MS = 4_000;

/** A connection that may be used again. */
interface Connection {
  readonly socket: Socket;
  readonly replies: ReturnType<typeof createReplyReader>;
  /** Called with each change: bytes, an end, an error. */
  onChange: () => void;
  ended: boolean;
  closed: boolean;
  usedAt: number;
}

function open(port: number): Connection {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.setNoDelay(true);
  const connection: Connection = {
    socket,
    replies: createReplyReader(),
    onChange: () => {},
    ended: false,
    closed: false,
    usedAt: performance.now(),
  };
  socket.on("data", (chunk: Buffer) => {
    connection.replies.add(chunk);
    connection.onChange();
  });
  socket.on("end", () => {
    connection.ended = true;
    connection.onChange();
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    connection.ended = true;
    connection.closed = true;
    connection.onChange();
  });
  return connection;
}

/** Waits until `holds` gives something else than undefined. Rejects after the limit. */
function waitFor<T>(connection: Connection, what: string, holds: () => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      connection.onChange = () => {};
    };
    const look = () => {
      try {
        const found = holds();
        if (found === undefined) return;
        finish();
        resolve(found);
      } catch (error) {
        finish();
        reject(error);
      }
    };
    const timer = setTimeout(() => {
      finish();
      reject(new Error(`${what}: not within ${ANSWER_LIMIT_MS} ms`));
    }, ANSWER_LIMIT_MS);
    connection.onChange = look;
    look();
  });
}

async function send({ socket }: Connection, segments: readonly Buffer[]): Promise<void> {
  for (const [index, segment] of segments.entries()) {
    if (index > 0) await turn();
    if (!socket.writable) return;
    socket.write(segment);
  }
}

/** One client, which sends one case after another and keeps its connection where it can. */
export interface FuzzClient {
  /** @returns what was wrong, or undefined; and the replies' statuses. */
  run(one: Case): Promise<{ readonly problem: string | undefined; readonly statuses: readonly number[] }>;
  close(): void;
}

export function createFuzzClient(port: number): FuzzClient {
  /** Kept from a case that was answered, for the next one. */
  let kept: Connection | undefined;

  function take(): Connection {
    const connection = kept;
    kept = undefined;
    if (connection && !connection.ended && performance.now() - connection.usedAt < REUSE_MS)
      return connection;
    connection?.socket.destroy();
    return open(port);
  }

  /** The replies to a case; the last element is undefined where the connection ended instead. */
  async function answered(connection: Connection, one: Case): Promise<(WireReply | undefined)[]> {
    const replies: (WireReply | undefined)[] = [];
    for (let count = 0; count < one.awaited.length; count++) {
      const reply = await waitFor(
        connection,
        "no answer and no end",
        () => connection.replies.next(one.toHead) ?? (connection.ended ? ("ended" as const) : undefined),
      );
      if (reply === "ended") return [...replies, undefined];
      replies.push(reply);
    }
    return replies;
  }

  async function wait(connection: Connection, one: Case, statuses: number[]): Promise<string | undefined> {
    const replies = await answered(connection, one);
    let closes = false;
    for (const [index, reply] of replies.entries()) {
      const awaited = one.awaited[index];
      if (!reply) return one.mayEnd || closes ? undefined : "the connection ended without an answer";
      statuses.push(reply.status);
      closes = reply.headers.get("connection") === "close";
      const problem = awaited && misfit(reply, awaited);
      if (problem !== undefined) return problem;
    }
    if (connection.replies.rest > 0) return `${connection.replies.rest} bytes that belong to no reply`;
    if (closes || connection.ended || one.mayEnd) connection.socket.destroy();
    else {
      connection.usedAt = performance.now();
      kept = connection;
    }
    return undefined;
  }

  async function halfClose(connection: Connection, statuses: number[]): Promise<string | undefined> {
    connection.socket.end();
    await waitFor(connection, "no end after the client's", () => (connection.ended ? true : undefined));
    for (;;) {
      const reply = connection.replies.next(false);
      if (!reply) break;
      statuses.push(reply.status);
      const problem = problemOf(reply);
      if (problem !== undefined) return problem;
    }
    connection.socket.destroy();
    return undefined;
  }

  return {
    run: async (one) => {
      const statuses: number[] = [];
      const connection = one.ending === "wait" && !one.mayEnd ? take() : open(port);
      try {
        await send(connection, one.segments);
        if (one.ending === "wait") return { problem: await wait(connection, one, statuses), statuses };
        if (one.ending === "halfClose") return { problem: await halfClose(connection, statuses), statuses };
        // What is sent must leave before the connection is cut.
        await turn();
        connection.socket.destroy();
        return { problem: undefined, statuses };
      } catch (error) {
        return { problem: error instanceof Error ? error.message : String(error), statuses };
      } finally {
        if (kept !== connection) connection.socket.destroy();
      }
    },
    close: () => kept?.socket.destroy(),
  };
}
