import { unwatchFile, watchFile } from "node:fs";
import type { Logger } from "pino";
import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { Caller } from "./caller.js";
import { hashOf, isExpired, readTokens, type TokenRecord } from "./token-file.js";

/** Why a token is refused. */
export type TokenProblem = "unknown" | "expired";

/** The tokens that the daemon takes. */
export interface Tokens {
  /** Whose a token is. Its time does not depend on how much of a token is right: only hashes are compared. */
  find(token: string): { readonly caller: Caller } | { readonly problem: TokenProblem };
  /** Ends the watch over the file. */
  stop(): void;
}

/** How soon a revoked token is refused. */
const LOOK_MS = 1_000;

interface Known {
  readonly record: TokenRecord;
  readonly caller: Caller;
}

function byHash(
  records: readonly TokenRecord[],
  isCurrent: (record: TokenRecord) => boolean,
): ReadonlyMap<string, Known> {
  return new Map(
    records.map((record) => {
      const { id, hash, role, pools, names } = record;
      const caller = { id, grant: { role, pools, names }, isCurrent: () => isCurrent(record) };
      return [hash, { record, caller }];
    }),
  );
}

/**
 * Reads the tokens of a file, and again whenever it changes. A file that is damaged later changes nothing: the
 * log tells. Fails as readTokens does.
 */
export function openTokens(path: string, log: Pick<Logger, "warn" | "info" | "error">): Outcome<Tokens> {
  const first = readTokens(path);
  if (!first.ok) return first;
  const isCurrent = (record: TokenRecord): boolean => {
    const now = known.get(record.hash)?.record;
    if (!now || isExpired(now)) return false;
    return now === record || JSON.stringify(now) === JSON.stringify(record);
  };
  let known = byHash(first.value, isCurrent);
  if (known.size === 0)
    log.warn({ path }, "there are no tokens, so every call is refused: imagestore token create");

  function readAgain(): void {
    const read = readTokens(path);
    if (!read.ok) {
      return log.error({ reason: read.failure.message }, "the tokens can't be read, and stay as they were");
    }
    known = byHash(read.value, isCurrent);
    log.info({ path, tokens: known.size }, "the tokens have been read again");
  }
  watchFile(path, { interval: LOOK_MS, persistent: false }, readAgain);

  return succeed({
    find: (token) => {
      const found = known.get(hashOf(token));
      if (!found) return { problem: "unknown" };
      return isExpired(found.record) ? { problem: "expired" } : { caller: found.caller };
    },
    stop: () => unwatchFile(path, readAgain),
  });
}
