import { JSON_TEXT, PLAIN_TEXT } from "../../protocol/http/headers.js";
import type { HttpRequest, WholeReply } from "../../protocol/http/transport.js";
import type { Failure } from "../../protocol/storage/failures.js";
import type { SnapshotName } from "../../protocol/storage/names.js";
import { maySee } from "../access/admission.js";
import type { Caller } from "../access/caller.js";
import { withTimeout } from "../pools/time-limit.js";

/** A download as its result tells it. */
export interface DownloadOutcome {
  readonly snapshot: SnapshotName;
  /**
   * "complete": the send has ended well, and the client was given every byte, or is being given the
   * last of them. A client that does not take these makes it "failed".
   */
  readonly state: "running" | "complete" | "failed";
  /** The length of the stream; undefined until it is known, and where it can't be told for sure. */
  readonly bytes?: number | undefined;
  /** Of one that failed. */
  readonly failure?: Failure | undefined;
}

export interface DownloadResults {
  /** Keeps how a download ended. */
  keep(id: string, outcome: DownloadOutcome): void;
  /** Answers `?download=ID`, of a snapshot that the caller may know of. */
  handle(request: HttpRequest, reply: WholeReply, caller: Caller): void | Promise<void>;
}

interface ResultOptions {
  /** A download that has not ended: how it is, and when it has. */
  find(id: string): { readonly outcome: DownloadOutcome; readonly ended: Promise<unknown> } | undefined;
}

/** More downloads than a client may forget to ask for. */
const MOST_KEPT = 4_096;
const KEPT_MS = 60 * 60_000;
/** A client may see the end of its connection before we do. */
const WAIT_MS = 1_000;

const ANSWER = [...JSON_TEXT, ["Cache-Control", "no-store"]] as const;

/**
 * Tells clients how their downloads ended. An end of a connection that has no length may look the
 * same whether it was cut or not: libuv, and Node with it, takes a reset for an end at times.
 */
export function createDownloadResults({ find }: ResultOptions): DownloadResults {
  /** Oldest first. */
  const kept = new Map<string, { readonly outcome: DownloadOutcome; readonly at: number }>();

  function outcomeOf(id: string): DownloadOutcome | undefined {
    const found = kept.get(id);
    if (found && performance.now() - found.at < KEPT_MS) return found.outcome;
    return find(id)?.outcome;
  }

  async function answer(id: string, reply: WholeReply, { grant }: Caller): Promise<void> {
    const running = find(id);
    if (running?.outcome.state === "running") await withTimeout(running.ended, WAIT_MS).catch(() => {});
    const outcome = outcomeOf(id);
    if (!outcome || !maySee(grant, outcome.snapshot)) return reply.send(404, PLAIN_TEXT, "not found\n");
    const { snapshot, state, bytes, failure } = outcome;
    const length = state === "complete" && bytes !== undefined && { bytes };
    const why = failure && { reason: failure.code, message: failure.message };
    reply.send(200, ANSWER, `${JSON.stringify({ download: id, snapshot, state, ...length, ...why })}\n`);
  }

  return {
    keep: (id, outcome) => {
      const now = performance.now();
      kept.set(id, { outcome, at: now });
      for (const [oldest, { at }] of kept) {
        if (kept.size <= MOST_KEPT && now - at < KEPT_MS) break;
        kept.delete(oldest);
      }
    },
    handle: (request, reply, caller) => {
      const id = new URLSearchParams(request.query).get("download") ?? "";
      if (id === "") return reply.send(400, PLAIN_TEXT, "need a download\n");
      return answer(id, reply, caller);
    },
  };
}
