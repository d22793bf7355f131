import { describe, expect, test } from "vitest";
import {
  type ConnectOptions,
  connect,
  type DaemonEvent,
  type EventsBegin,
} from "../../../src/client/client.js";
import { framesOf } from "../../../src/client/event-frames.js";

const encoder = new TextEncoder();

/** A stream of these pieces; `end`: how it ends. One that stays breaks with its signal. */
function streamOf(
  pieces: readonly (string | Uint8Array)[],
  end: "ends" | "breaks" | "stays" = "ends",
  signal?: AbortSignal | null,
) {
  const left = pieces.map((piece) => (typeof piece === "string" ? encoder.encode(piece) : piece));
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = left.shift();
      if (piece) controller.enqueue(piece);
      else if (end === "ends") controller.close();
      else if (end === "breaks") controller.error(new TypeError("terminated"));
      else {
        signal?.throwIfAborted();
        await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      }
    },
  });
}

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("frames of a stream", () => {
  const text =
    'id: a:1\r\nevent: image\r\ndata: {"é":\ndata:1}\n\n: keep-alive\nid: a:2\n\ndata\n\nid: a:3\ndata: cut';
  const expected = [
    { id: "a:1", event: "image", data: '{"é":\n1}' },
    { id: "a:2", event: "", data: "" },
    { id: "a:2", event: "", data: "" },
  ];

  test("are read wherever the stream is cut, and one without its end is left", async () => {
    const bytes = encoder.encode(text);
    for (let at = 0; at <= bytes.length; at++) {
      const pieces = [bytes.subarray(0, at), bytes.subarray(at)];
      expect(await allOf(framesOf(streamOf(pieces)))).toEqual(expected);
    }
    expect(await allOf(framesOf(streamOf(Array.from(bytes, (byte) => Uint8Array.of(byte)))))).toEqual(
      expected,
    );
  });
});

describe("the events of a client", () => {
  const event = (seq: number) =>
    `id: a:${seq}\nevent: volume\ndata: ${JSON.stringify({ epoch: "a", seq, topic: "volume" })}\n\n`;
  const begin = (complete: boolean) =>
    `id: a:1\nevent: subscribed\ndata: {"epoch":"a","seq":1,"complete":${complete}}\n\n`;

  /** A client of a daemon that answers so, and the addresses that it asks. */
  function clientOf(...replies: ((signal?: AbortSignal | null) => Response)[]) {
    const asked: string[] = [];
    const fetch: ConnectOptions["fetch"] = async (url, init) => {
      asked.push(String(url));
      const reply = replies.shift();
      if (!reply) throw new TypeError("fetch failed");
      return reply(init?.signal);
    };
    return { client: connect({ url: "http://daemon:1", fetch }), asked };
  }

  test("go on where they were when the connection breaks, ends, or can't be made", async () => {
    const { client, asked } = clientOf(
      () => new Response(streamOf([begin(true), event(2), event(3)], "breaks")),
      () => {
        throw new TypeError("fetch failed");
      },
      () => new Response(streamOf([begin(true), ": keep-alive\nid: a:7\n\nevent: end\ndata: {}\n\n"])),
      () => new Response(streamOf([begin(false), event(8)], "stays")),
    );
    const begins: EventsBegin[] = [];
    const seen: DaemonEvent[] = [];
    const topics = ["volume", "image"] as const;
    for await (const each of client.events({ topics, onBegin: (place) => begins.push(place) })) {
      seen.push(each);
      if (each.seq === 8) break;
    }
    expect(seen.map(({ seq }) => seq)).toEqual([2, 3, 8]);
    expect(begins.map(({ complete }) => complete)).toEqual([true, true, false]);
    expect(asked.map((url) => new URL(url).search)).toEqual([
      "?topics=volume%2Cimage",
      "?topics=volume%2Cimage&since=a%3A3",
      "?topics=volume%2Cimage&since=a%3A3",
      "?topics=volume%2Cimage&since=a%3A7",
    ]);
  });

  test("end with a refusal that a repeat does not mend", async () => {
    const { client } = clientOf(() => new Response("not allowed\n", { status: 403 }));
    await expect(allOf(client.events())).rejects.toMatchObject({ name: "NoAnswerError", status: 403 });
  });

  test("end with their signal, during a pause too", async () => {
    for (const replies of [
      [(given?: AbortSignal | null) => new Response(streamOf([begin(true)], "stays", given))],
      [],
    ]) {
      const { client, asked } = clientOf(...replies);
      const controller = new AbortController();
      const events = allOf(client.events({ since: "a:1", signal: controller.signal }));
      await Promise.resolve();
      expect(asked.length).toBe(1);
      controller.abort(new Error("enough"));
      await expect(events).rejects.toThrow("enough");
    }
  });

  test("throw what their listener throws", async () => {
    const { client } = clientOf(() => new Response(streamOf([begin(true)])));
    const onBegin = () => {
      throw new Error("the listener's");
    };
    await expect(allOf(client.events({ onBegin }))).rejects.toThrow("the listener's");
  });
});
