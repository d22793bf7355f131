import { optional, type Parameter } from "./definition.js";
import { flag, type JsonSchema, listOf, object, record } from "./json-schema.js";

/** The parameter of every change that destroys. */
export const dryRunParam: Readonly<Record<"dryRun", Parameter>> = {
  dryRun: optional(
    flag(
      "Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed.",
    ),
  ),
};

/** The answer of a change that destroys: these members, and one more of a dry run. */
export function destroyingResult(members: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const destroys = listOf(record("Doomed"), "Only of a dry run: what the call would destroy.");
  return object({ ...members, destroys }, ["destroys"]);
}
