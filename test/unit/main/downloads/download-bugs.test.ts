import { describe, expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { createDownloads } from "../../../../src/main/downloads/downloads.js";
import type {
  SendHandle,
  SendListener,
  StreamingHandle,
} from "../../../../src/main/downloads/streaming-handle.js";
import type { Actor } from "../../../../src/main/pools/actor-handle.js";
import type { BodySource, HttpReply } from "../../../../src/protocol/http/transport.js";
import { type Failure, fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";
import { downloadRequest } from "../../../support/download-request.js";
import { until } from "../../../support/until.js";

const POOL = "tank" as PoolName;
const STREAM = new Uint8Array(1_000).fill(7);

/** A step of a download after its hold was made. */
type Step =
  | "the start of its send"
  | "the listener for its client"
  | "the head of its reply"
  | "a write"
  | "the count of its bytes"
  | "the end of its reply"
  | "a look for bytes"
  | "a look at bytes"
  | "the release of bytes"
  | "a cut"
  | "a refusal"
  | "the end of its send"
  | "its report";

const AFTER_ITS_HOLD: readonly Step[] = [
  "the start of its send",
  "the listener for its client",
  "the head of its reply",
  "a write",
  "the count of its bytes",
  "the end of its reply",
  "a look for bytes",
  "a look at bytes",
  "the release of bytes",
  "the end of its send",
  "its report",
];

/** Downloads that throw at a step, the first time that one comes there. */
function setUp(step: Step | undefined, sendFailure?: Failure) {
  const seen = { releases: 0, complete: 0, codes: [] as string[] };
  let isArmed = step !== undefined;
  const reach = (reached: Step) => {
    if (!isArmed || reached !== step) return;
    isArmed = false;
    throw new Error(`a bug in ${reached}`);
  };
  const send = (_command: readonly string[], listener: SendListener): SendHandle => {
    reach("the start of its send");
    let hasEnded = false;
    const end = (failure: Failure | undefined) => {
      if (hasEnded) return;
      hasEnded = true;
      listener.onEnd(failure);
    };
    setImmediate(() => {
      listener.onBytes();
      setImmediate(end, sendFailure);
    });
    return {
      id: 1,
      poll: () => {
        reach("a look for bytes");
        return STREAM.length;
      },
      view: (position, limit) => {
        reach("a look at bytes");
        return STREAM.subarray(position, position + limit);
      },
      release: () => reach("the release of bytes"),
      cancel: () => setImmediate(end, fail("service.interrupted", "given up").failure),
      close: () => reach("the end of its send"),
    };
  };
  const actor = {
    pool: POOL,
    state: "ready",
    call: async (): Promise<Outcome<unknown>> =>
      succeed({ name: "tank/v@s", tag: "t", command: ["zfs", "send"] }),
    callAlways: async ({ op }: Operation) => {
      if (op === "CloseSend") seen.releases++;
      return succeed(null);
    },
  } as unknown as Actor;
  const downloads = createDownloads({
    pools: [POOL],
    streaming: { send } as unknown as StreamingHandle,
    maxDownloads: 1,
    bodyBytes: 1_000,
    windowBytes: 65_536,
    bulkPort: undefined,
    stalledReaderMs: 60_000,
    actorOf: () => actor,
    jobs: { begin: () => ({ id: "", onCancel: () => {}, end: () => {} }) },
    onBytes: () => reach("the count of its bytes"),
    report: ({ code }) => {
      seen.codes.push(code);
      reach("its report");
    },
    onChange: () => {},
  });
  const take = (source: BodySource, limit: number) => {
    const { length } = source.peek(limit);
    source.take(length);
    return length;
  };
  const reply = {
    isDisconnected: false,
    onDisconnect: () => reach("the listener for its client"),
    send: () => reach("a refusal"),
    stream: (_status: number, _headers: unknown, source: BodySource) => {
      reach("the head of its reply");
      return {
        isBlocked: false,
        pump: () => {
          reach("a write");
          return take(source, Math.min(300, source.available));
        },
        end: (onFlushed: () => void) => {
          reach("the end of its reply");
          seen.complete++;
          setImmediate(onFlushed);
        },
        reset: () => reach("a cut"),
      };
    },
  } as unknown as HttpReply;
  const download = async () => {
    const before = seen.releases;
    await downloads.handle(downloadRequest, reply, ANYONE);
    await until("its hold is released", () => seen.releases > before && downloads.active === 0);
  };
  return { seen, download, liveTags: () => downloads.liveTags(POOL) };
}

describe("a download that throws", () => {
  test.each(AFTER_ITS_HOLD)("in %s releases its hold, and the next one is whole", async (step) => {
    const bugs: unknown[] = [];
    const note = (bug: unknown) => void bugs.push(bug);
    process.on("unhandledRejection", note);
    try {
      const { seen, download, liveTags } = setUp(step);
      await download();
      // The daemon logs it as an unhandled rejection.
      const isTooLate = step === "its report";
      expect(bugs.length).toBe(isTooLate ? 1 : 0);
      expect(seen.codes).toEqual([isTooLate ? "ok" : "internal"]);
      const { complete } = seen;
      await download();
      expect(seen).toMatchObject({ releases: 2, complete: complete + 1 });
      expect(seen.codes.at(-1)).toBe("ok");
      expect(liveTags()).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  test.each(["a cut", "a refusal"] as const)(
    "in %s of a send that failed releases its hold",
    async (step) => {
      const failure = fail("command.failed", "cannot send").failure;
      const { seen, download, liveTags } = setUp(step, failure);
      await download();
      await download();
      expect(seen.releases).toBe(2);
      expect(liveTags()).toEqual([]);
    },
  );
});
