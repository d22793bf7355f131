import {
  DESTROYING,
  type DestroyingName,
  type DestroyingOperation,
  type DryRunAnswer,
  type Operation,
} from "../../storage/operations.js";
import type { DoomedRecord } from "../../storage/records.js";
import { joinWithin } from "../joined.js";
import { quote } from "../json-text.js";
import { boolean } from "../params.js";

/** The member of a request for a change that destroys: only tell what it would do. */
export const dryRunField = { dryRun: boolean };

const NAMES: readonly string[] = DESTROYING;

function isDestroying(operation: Operation): operation is DestroyingOperation {
  return NAMES.includes(operation.op);
}

/** The dry run of an operation. A refusal stays what it is. */
export function dryRunOf(operation: Operation): Operation {
  return isDestroying(operation) ? { op: "DryRun", of: operation } : operation;
}

/** Whether an answer is that of a dry run. */
export function isDryRun<A, K extends DestroyingName>(
  answer: A | DryRunAnswer<K>,
): answer is DryRunAnswer<K> {
  return typeof answer === "object" && answer !== null && "destroys" in answer;
}

function encodeDoomed({ name, used }: DoomedRecord): string {
  return `{"id":${quote(name)},"bytes":${used ?? "null"}}`;
}

/** The answer of a dry run: `text`, an object, with what would be destroyed behind its members. */
export function withDoomed(
  text: string | undefined,
  destroys: readonly DoomedRecord[],
  mostBytes: number,
): string | undefined {
  const joined = joinWithin(destroys, encodeDoomed, mostBytes);
  return text === undefined || joined === undefined
    ? undefined
    : `${text.slice(0, -1)},"destroys":[${joined}]}`;
}
