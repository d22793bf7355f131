import { fail, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { boolean, string } from "../params.js";

/** How a change is to be run, where its request says so. */
export interface CallTerms {
  /** Whether the answer is the job that has begun, and not what the change answers in the end. */
  readonly background: boolean;
  /** Requests with the same key run once; "" for none. */
  readonly key: string;
}

/** The members of a request for a change that say how to run it. */
export const termsFields = { background: boolean, idempotencyKey: string };

const MOST_KEY_CHARACTERS = 128;

/** Undefined: as ever. Fails: request.invalid for a key that can't be one. */
export function readTerms({
  background,
  idempotencyKey: key,
}: {
  readonly background: boolean;
  readonly idempotencyKey: string;
}): Outcome<CallTerms | undefined> {
  if (key.length > MOST_KEY_CHARACTERS || /\p{Cc}/u.test(key)) {
    const wanted = `at most ${MOST_KEY_CHARACTERS} printable characters`;
    return tellAbout(fail("request.invalid", "not a key"), { field: "idempotencyKey", wanted });
  }
  return succeed(background || key !== "" ? { background, key } : undefined);
}
