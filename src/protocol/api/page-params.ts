import { optional, type Parameter } from "./definition.js";
import { count, text } from "./json-schema.js";

/** The parameters of a list that ask for a page of it. `key`: what its records are sorted by then. */
export function pageParams(key: string): Readonly<Record<"limit" | "after", Parameter>> {
  return {
    limit: optional(count("The most records of a page; 0 or none for a whole list.", "records")),
    after: optional(text(`Where the page begins: behind the last record of the page before, ${key}.`)),
  };
}
