import { randomBytes } from "node:crypto";

/** The longest id of a client's that is taken over, in characters. */
const MAX_GIVEN = 128;
/** Printable ASCII that can stand in a header and in JSON as it is: no space, quote or backslash. */
const GIVEN = /^[!#-[\]-~]+$/;

/**
 * Gives each request its id: the client's own (its header X-Request-Id) where it can be shown as it
 * is, or else a new one, which is unique over all daemons and all their runs.
 */
export function createRequestIds(): (given: string) => string {
  const prefix = randomBytes(6).toString("hex");
  let count = 0;
  return (given) => {
    if (given !== "" && given.length <= MAX_GIVEN && GIVEN.test(given)) return given;
    return `${prefix}-${(++count).toString(36)}`;
  };
}
