import { optional, type Parameter } from "./definition.js";
import { flag, text } from "./json-schema.js";

/** The parameters of every change that say how it is to be run. */
export const termsParams: Readonly<Record<"background" | "idempotencyKey", Parameter>> = {
  background: optional(
    flag('Whether to answer `{"jobs":[…]}` at once, with the job that the change has become.'),
  ),
  idempotencyKey: optional(
    text(
      "At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is.",
    ),
  ),
};
