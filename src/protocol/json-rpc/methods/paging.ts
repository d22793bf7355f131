import { type Outcome, succeed } from "../../storage/failures.js";
import { isWithin, type PoolScope } from "../../storage/names.js";
import { makePage, type Page } from "../../storage/page.js";
import { string, uint64 } from "../params.js";
import { resolveField } from "./routing.js";

/** The members of a request for a list that ask for a page of it. */
export const pageFields = { limit: uint64, after: string };

/**
 * The page that a request wants of a list whose ids are full names. `after` may be relative to the
 * pool. One that begins with the pool is not checked: it is only compared, and what a list has
 * shown must be taken back. Fails: name.invalid.
 */
export function pageOfNames(
  scope: PoolScope,
  { limit, after }: { readonly limit: bigint; readonly after: string },
): Outcome<Page> {
  if (after === "" || isWithin(after, scope.pool)) return succeed(makePage({ limit, after }));
  const name = resolveField(scope, "after", after);
  if (!name.ok) return name;
  const { snapshot, dataset } = name.value;
  return succeed(makePage({ limit, after: snapshot ?? dataset }));
}
