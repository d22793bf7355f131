import { type FailedOutcome, fail, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { bookmarkOf, datasetOf, type PoolName, type SnapshotName } from "../../storage/names.js";
import { isBookmarkName, type SendFrom, type SendTerms } from "../../storage/send-terms.js";
import { resolveField } from "./routing.js";

/** Reads a member of a download's query; null if it is not there. */
export type QueryField = (name: string) => string | null;

/** Of a member that is not as it should be. */
export function wrongField(field: string, found: string, wanted: string): FailedOutcome {
  return tellAbout(fail("request.invalid", `${field} must be ${wanted}`), { field, found, wanted });
}

/** Reads `1` and `0`. Fails: request.invalid. */
function readSwitch(field: string, text: string): Outcome<boolean> {
  return text === "1" || text === "0" ? succeed(text === "1") : wrongField(field, text, "1 or 0");
}

/** Reads `DATASET@SNAPSHOT`, `DATASET#BOOKMARK`, or either without the dataset, which is that of `name`. */
function readFrom(pools: readonly PoolName[], pool: PoolName, name: SnapshotName, text: string) {
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
  const fromText = field("from");
  const from = fromText === null ? undefined : readFrom(pools, pool, name, fromText);
  if (from?.ok === false) return from;
  const intermediates = readSwitch("intermediates", field("intermediates") ?? "0");
  if (!intermediates.ok) return intermediates;
  if (intermediates.value && from === undefined) {
    return wrongField("from", "none", "a snapshot where intermediates is 1");
  }
  if (intermediates.value && from && isBookmarkName(from.value)) {
    return wrongField("from", from.value, "a snapshot where intermediates is 1, and no bookmark");
  }
  if (!from) return succeed(undefined);
  return succeed({ from: from.value, ...(intermediates.value && { intermediates: true }) });
}
