import type { BackupProfile, BackupProfiles } from "../../../protocol/storage/backup-profile.js";
import {
  fail,
  internalFailure,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import { turnOf } from "../../../protocol/threads/transfer-turns.js";
import type { FetchQueue } from "../fetch-queue.js";
import type { HoldRecord } from "../record-file.js";

/** What operations with a store need beside what all operations do. */
export interface StoreParts {
  readonly profiles: BackupProfiles;
  /** Where they wait for their turn. */
  readonly turns: FetchQueue<null>;
  readonly sends: Pick<OperationHandlers, "OpenSend" | "CloseSend">;
  /** Is given a hold that could not be released. */
  releaseLater(hold: HoldRecord): void;
  /** The datasets that are being backed up, each with its profile. */
  readonly running: Set<string>;
}

/** Fails: request.invalid. */
export function findProfile(profiles: BackupProfiles, name: string): Outcome<BackupProfile> {
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (found) return succeed(found);
  const wanted = Object.keys(profiles).join(", ") || "none: the configuration has no backups";
  return tellAbout(fail("request.invalid", "no such profile of backups"), {
    field: "profile",
    found: name,
    wanted,
  });
}

/**
 * Runs `work` when it is its turn, which its caller may leave before and end later: `cancelled` is aborted then.
 * Fails: service.overloaded, job.cancelled, and as `work` does.
 */
export async function inTurn<T>(
  turns: FetchQueue<null>,
  caller: number | undefined,
  work: (cancelled: AbortSignal) => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  const done: { answer?: Outcome<T> } = {};
  const id = caller === undefined ? `.transfer of nobody ${performance.now()}` : turnOf(caller);
  const ended = await turns.request(
    id,
    async (cancelled) => {
      const answer = await work(cancelled).catch(internalFailure);
      done.answer = answer;
      return answer.ok ? succeed(null) : answer;
    },
    caller,
  );
  if (!ended.ok) return ended;
  return done.answer ?? internalFailure(new Error("a turn ended without an answer"));
}
