import { codeOf, messageOf } from "../../protocol/storage/caught-error.js";
import { type FailedOutcome, fail, tellAbout, withCause } from "../../protocol/storage/failures.js";
import { StreamFailure } from "../../protocol/zfs-stream/stream-failure.js";
import { KeyFileProblem } from "./key-file.js";

/** Says that the content of an object is not what was stored. `name`: of the object. */
export class DamagedObject extends Error {
  constructor(
    readonly object: string,
    readonly what: string,
  ) {
    super(`${object}: ${what}`);
  }
}

/** A request that nothing moved in. */
export class SilentStore extends Error {
  readonly code = "ETIMEDOUT";
}

/** A command that failed, or whatever else is an outcome already. */
export class FailedStep extends Error {
  constructor(readonly outcome: FailedOutcome) {
    super(outcome.failure.message);
  }
}

/** Codes of S3 that no repeat of ours changes. */
const REFUSALS: Readonly<Record<string, string>> = {
  AccessDenied: "it refuses these keys what was asked",
  AllAccessDisabled: "it refuses these keys what was asked",
  InvalidAccessKeyId: "it does not know the access key",
  SignatureDoesNotMatch: "the secret key is not that of the access key",
  NoSuchBucket: "it has no such bucket",
  InvalidBucketName: "it has no such bucket",
  AuthorizationHeaderMalformed: "the region is another one",
  RequestTimeTooSkewed: "its clock and that of this machine are too far apart",
  EntityTooSmall: "it wants larger parts",
  EntityTooLarge: "it takes no object of this size",
  NotImplemented: "it lacks what was asked",
};

/** Of TLS: another certificate or another list of authorities is needed. */
const UNTRUSTED = /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_)/;

export function damaged(object: string, what: string): FailedOutcome {
  return tellAbout(fail("backup.damaged", `the object ${object} is damaged: ${what}`), { object });
}

/** Whether the same step may succeed when it is made again soon. */
export function mayBeRepeated(error: unknown): boolean {
  if (error instanceof FailedStep || error instanceof DamagedObject || error instanceof StreamFailure)
    return false;
  return storeFailure("", error).failure.code === "backup.store_unreachable";
}

/** The failure of what was done with a store. Its words have no key, no path and no signed URL. */
export function storeFailure(profile: string, error: unknown): FailedOutcome {
  if (error instanceof FailedStep) return error.outcome;
  if (error instanceof DamagedObject) return damaged(error.object, error.what);
  const code = codeOf(error);
  const refused = (why: string) =>
    withCause(
      fail("backup.store_refused", `the store of profile ${profile} refuses: ${why}`),
      messageOf(error),
    );
  if (error instanceof KeyFileProblem) return refused(error.message);
  if (code === "ENOENT" || code === "EACCES")
    return refused("a file of its keys or certificates can't be read");
  const why = REFUSALS[code];
  if (why !== undefined) return refused(`${why} (${code})`);
  if (UNTRUSTED.test(code)) return refused(`its certificate is not trusted (${code})`);
  const told = code === "" ? "the request failed" : code;
  return withCause(
    fail("backup.store_unreachable", `the store of profile ${profile} can't be used now: ${told}`),
    messageOf(error),
  );
}
