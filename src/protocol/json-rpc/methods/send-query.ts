import { type FailedOutcome, fail, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { bookmarkOf, datasetOf, type PoolName, type SnapshotName } from "../../storage/names.js";
import {
  isBookmarkName,
  MAX_SEND_RATE,
  MIN_SEND_RATE,
  SEND_FLAGS,
  type SendFlag,
  type SendFrom,
  type SendTerms,
} from "../../storage/send-terms.js";
import { resolveField } from "./routing.js";

/** Reads a member of a download's query; null if it is not there. */
export type QueryField = (name: string) => string | null;

/** Of a member that is not as it should be. */
export function wrongField(field: string, found: string, wanted: string): FailedOutcome {
  return tellAbout(fail("request.invalid", `${field} must be ${wanted}`), { field, found, wanted });
}

/** Reads `1` and `0`. Fails: request.invalid. */
export function readSwitch(field: string, text: string): Outcome<boolean> {
  return text === "1" || text === "0" ? succeed(text === "1") : wrongField(field, text, "1 or 0");
}

/** Reads `DATASET@SNAPSHOT`, `DATASET#BOOKMARK`, or either without the dataset, which is that of `name`. */
function readFrom(
  pools: readonly PoolName[],
  pool: PoolName,
  name: SnapshotName,
  text: string,
): Outcome<SendFrom> {
  const dataset = datasetOf(name);
  const wrong = wrongField("from", text, `a snapshot or a bookmark of ${dataset}`);
  const at = text.search(/[@#]/);
  if (at < 0) return wrong;
  const given = at === 0 ? dataset : text.slice(0, at);
  const named = resolveField({ pools, pool }, "from", `${given}${text[at] === "@" ? text.slice(at) : ""}`);
  if (!named.ok) return named;
  if (named.value.dataset !== dataset) return wrong;
  const found: Outcome<SendFrom> =
    named.value.snapshot === undefined
      ? bookmarkOf(dataset, text.slice(at + 1))
      : succeed(named.value.snapshot);
  if (!found.ok) return tellAbout(fail("name.invalid", `from: ${found.failure.message}`), { field: "from" });
  return found.value === name ? wrongField("from", text, `older than ${name}`) : found;
}

/** Reads `compressed,raw` and its like. */
function readFlags(text: string): Outcome<readonly SendFlag[]> {
  const given = text.split(",");
  const flags = SEND_FLAGS.filter((flag) => given.includes(flag));
  if (given.every((each) => flags.some((flag) => flag === each))) return succeed(flags);
  return wrongField("flags", text, `a list, with commas, of ${SEND_FLAGS.join(", ")}`);
}

/**
 * As zfs writes one: a version, a checksum, a length, and the rest, in hex digits; or as an embedded pool does: a
 * version, a checksum and the rest.
 */
const TOKEN = /^(?:1-[0-9a-f]{1,16}-[0-9a-f]{1,8}|e[0-9]{1,3}-[0-9a-f]{16})-[0-9a-f]+$/;
/** A token has two names at most, compressed. */
const MOST_TOKEN_CHARACTERS = 4096;

function readToken(text: string): Outcome<string> {
  if (text.length <= MOST_TOKEN_CHARACTERS && TOKEN.test(text)) return succeed(text);
  return wrongField("resume", text.slice(0, 64), "a receive_resume_token");
}

/** What can't be together. */
function checkTogether({ from, intermediates, flags, resume }: SendTerms): FailedOutcome | undefined {
  if (intermediates && from === undefined) {
    return wrongField("from", "none", "a snapshot where intermediates is 1");
  }
  if (intermediates && from !== undefined && isBookmarkName(from)) {
    return wrongField("from", from, "a snapshot where intermediates is 1, and no bookmark");
  }
  if (resume === undefined) return undefined;
  if (flags) return wrongField("flags", flags.join(), "left out with resume: the token has flags of its own");
  if (intermediates) return wrongField("intermediates", "1", "left out with resume: it ends one snapshot");
  return undefined;
}

/**
 * Reads what a download's query asks for of the stream of `name`, a snapshot in `pool`. Undefined: nothing
 * but the full stream. Fails: request.invalid, name.invalid.
 */
export function readSendTerms(
  pools: readonly PoolName[],
  pool: PoolName,
  name: SnapshotName,
  field: QueryField,
): Outcome<SendTerms | undefined> {
  const read = <T>(member: string, parse: (text: string) => Outcome<T>): Outcome<T> | undefined => {
    const text = field(member);
    return text === null ? undefined : parse(text);
  };
  const from = read("from", (text) => readFrom(pools, pool, name, text));
  if (from?.ok === false) return from;
  const intermediates = read("intermediates", (text) => readSwitch("intermediates", text));
  if (intermediates?.ok === false) return intermediates;
  const flags = read("flags", readFlags);
  if (flags?.ok === false) return flags;
  const resume = read("resume", readToken);
  if (resume?.ok === false) return resume;
  const terms: SendTerms = {
    ...(from && { from: from.value }),
    ...(intermediates?.value && { intermediates: true }),
    ...(flags && { flags: flags.value }),
    ...(resume && { resume: resume.value }),
  };
  return checkTogether(terms) ?? succeed(Object.keys(terms).length > 0 ? terms : undefined);
}

/** Reads how many bytes a second a download may have. Undefined: as many as it can. Fails: request.invalid. */
export function readSendRate(field: QueryField): Outcome<number | undefined> {
  const text = field("rate");
  if (text === null) return succeed(undefined);
  const rate = /^\d{1,13}$/.test(text) ? Number(text) : 0;
  if (rate >= MIN_SEND_RATE && rate <= MAX_SEND_RATE) return succeed(rate);
  return wrongField("rate", text, `bytes a second, ${MIN_SEND_RATE} or more`);
}
