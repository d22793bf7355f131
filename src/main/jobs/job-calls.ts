import { createHash } from "node:crypto";
import { aboutOperation } from "../../protocol/json-rpc/failure-text.js";
import { encodeOneJob } from "../../protocol/json-rpc/methods/jobs.js";
import type { Routed } from "../../protocol/json-rpc/methods/method.js";
import { type JsonText, stringOf } from "../../protocol/json-rpc/reply-text.js";
import { fail, failed, internalFailure, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { Actor, Client } from "../pools/actor-handle.js";
import type { Asker } from "../rpc/node-handlers.js";
import { callKey } from "../rpc/run-call.js";
import type { CallOnTerms, RunOnTerms } from "../rpc/run-on-terms.js";
import type { JobRegistry } from "./job-registry.js";
import { jobOfCall, mayLast, type Transfers } from "./lasting-calls.js";
import type { BegunCall, RepeatedCalls } from "./repeated-calls.js";

export interface JobCalls {
  /** Runs a change whose client waits. As long as it runs it is a job, if it may last. */
  run(actor: Actor, routed: Routed, asker: Asker): Promise<Outcome<unknown>>;
  /** Runs a change in the background, or once for all requests with its key. */
  readonly runOnTerms: RunOnTerms;
}

interface JobCallOptions {
  readonly transfers: Transfers;
  readonly registry: Pick<JobRegistry, "begin" | "find">;
  readonly repeated: Pick<RepeatedCalls, "once">;
  /** The actor that serves a pool; undefined while the daemon stops. */
  actorOf(pool: PoolName): Actor | undefined;
}

/** A result that is longer is not kept with its job. */
const LONGEST_RESULT = 16 * 1024;

const forgotten = fail("job.not_found", "what was asked for was done, and its job is no longer kept");

export function createJobCalls({ registry, repeated, actorOf, transfers }: JobCallOptions): JobCalls {
  /** Begins the job of a change that nobody's leaving ends. */
  function begin(actor: Actor, { routed, terms, asker, encode }: CallOnTerms): BegunCall {
    const { operation } = routed;
    const job = registry.begin(jobOfCall(routed, asker, transfers), terms.background);
    const client: Client = { ...asker.client, onDisconnect: () => {}, onCancel: job.onCancel };
    const finish = (outcome: Outcome<unknown>): Outcome<JsonText> => {
      if (!outcome.ok) {
        const failure = aboutOperation(outcome.failure, operation);
        job.end(failure);
        return { ok: false, failure };
      }
      const text = encode(outcome.value);
      job.end(undefined, text.ok ? keptResult(text.value) : undefined);
      return text;
    };
    return { job: job.id, result: actor.call(operation, client).catch(internalFailure).then(finish) };
  }

  return {
    run: (actor, routed, asker) => {
      const { client } = asker;
      if (!mayLast(routed)) return actor.call(routed.operation, client);
      const job = registry.begin(jobOfCall(routed, asker, transfers));
      const waiting: Client = {
        requestId: client.requestId,
        peer: client.peer,
        span: client.span,
        onCancel: job.onCancel,
        onDisconnect: (listener) => client.onDisconnect(listener),
      };
      return actor.call(routed.operation, waiting).then((outcome) => {
        job.end(outcome.ok ? undefined : outcome.failure);
        return outcome;
      });
    },

    runOnTerms: async (call) => {
      const { routed, terms, asker } = call;
      const actor = actorOf(routed.pool);
      if (!actor) return { outcome: failed.stopping };
      const start = () => begin(actor, call);
      const asked =
        terms.key === ""
          ? succeed({ begun: start(), isRepeat: false })
          : await repeated.once(
              {
                ...{ caller: asker.caller.id ?? "", key: terms.key, fingerprint: fingerprintOf(routed) },
                repeatSafe: jobOfCall(routed, asker, transfers).repeatSafe,
              },
              start,
            );
      if (!asked.ok) return { outcome: asked };
      const { begun, isRepeat } = asked.value;
      if (!terms.background) return { outcome: await begun.result };
      const found = registry.find(begun.job);
      const outcome = found ? succeed(encodeOneJob(found)) : forgotten;
      return isRepeat ? { outcome } : { outcome, ended: begun.result };
    },
  };
}

function keptResult(text: JsonText): string | undefined {
  return text.length > LONGEST_RESULT ? undefined : stringOf(text);
}

function fingerprintOf(routed: Routed): string {
  return createHash("sha256").update(callKey(routed)).digest("base64");
}
