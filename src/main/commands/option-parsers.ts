import { InvalidArgumentError } from "commander";

/** For commander's `option`: accepts any text but the empty one. */
export function notEmpty(value: string): string {
  if (value === "") throw new InvalidArgumentError("must not be empty");
  return value;
}
