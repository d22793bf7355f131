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

/** The answer of a change that destroys: these members, and more of a dry run. `own`: those of them that are the method's. */
export function destroyingResult(
  members: Readonly<Record<string, JsonSchema>>,
  own: Readonly<Record<string, JsonSchema>> = {},
): JsonSchema {
  const destroys = listOf(record("Doomed"), "Only of a dry run: what the call would destroy.");
  return object({ ...members, ...own, destroys }, [...Object.keys(own), "destroys"]);
}
