import { InvalidArgumentError } from "commander";

/** For commander: a value that must not be empty. */
export function notEmpty(value: string): string {
  if (value === "") throw new InvalidArgumentError("must not be empty");
  return value;
}
