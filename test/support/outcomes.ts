import type { Outcome } from "../../src/protocol/storage/failures.js";

/** The value of an outcome that must be good. Rejects with the failure of one that is not. */
export async function mustSucceed<T>(outcome: Promise<Outcome<T>>): Promise<T> {
  const settled = await outcome;
  if (!settled.ok) throw new Error(JSON.stringify(settled.failure));
  return settled.value;
}
