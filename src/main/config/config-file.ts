import { readFileSync } from "node:fs";
import { type JsonValue, readJson } from "../../protocol/json-rpc/json.js";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { isJsonObject, type JsonObject } from "./schema.js";

/** A configuration file, with the place of each of its values. */
export interface ConfigFile {
  readonly settings: JsonObject;
  /**
   * @returns where the value at `path` is, as `FILE:LINE:COLUMN`, both from 1; undefined if the file
   * has no such value. Of a member that is missing, the place of the object that lacks it.
   */
  placeOf(path: readonly PropertyKey[]): string | undefined;
}

function lineAndColumn(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}

/** Where the text stops being JSON, as far as JSON.parse tells it. */
function offsetOf(problem: string, text: string): number {
  const found = /position (\d+)/.exec(problem);
  return found ? Number(found[1]) : text.length;
}

function memberOf(value: JsonValue, key: PropertyKey): JsonValue | undefined {
  if (value.kind === "array") return value.items[Number(key)];
  // Of members with the same name the last one counts, as for JSON.parse.
  return value.items[value.keys.lastIndexOf(String(key))];
}

function find(root: JsonValue, path: readonly PropertyKey[]): JsonValue | undefined {
  let value: JsonValue | undefined = root;
  for (const [index, key] of path.entries()) {
    const inner: JsonValue | undefined = memberOf(value, key);
    if (!inner) return index === path.length - 1 && value.kind === "object" ? value : undefined;
    value = inner;
  }
  return value;
}

/** Reads a file. Fails: request.invalid if it can't be read, or holds no JSON object. */
export function readConfigFile(path: string): Outcome<ConfigFile> {
  const refuse = (where: string, why: string) => fail("request.invalid", `configuration ${where}: ${why}`);
  try {
    const text = readFileSync(path, "utf8");
    const read = readJson(text);
    if ("problem" in read) {
      return refuse(`${path}:${lineAndColumn(text, offsetOf(read.problem, text))}`, read.problem);
    }
    const settings: unknown = JSON.parse(text);
    if (!isJsonObject(settings)) return refuse(path, "expected a JSON object");
    const placeOf = (of: readonly PropertyKey[]) => {
      const value = find(read.value, of);
      return value && `${path}:${lineAndColumn(text, value.start)}`;
    };
    return succeed({ settings, placeOf });
  } catch (error) {
    return refuse(path, messageOf(error));
  }
}
