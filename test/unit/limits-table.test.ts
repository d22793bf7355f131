import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { configSchema } from "../../src/main/config/schema.js";
import { ROOT } from "../support/source-tree.js";

interface Bounds {
  readonly default: number;
  readonly minimum: number;
  readonly maximum: number;
}

/** A row of the table of docs/limits.md. */
interface Row {
  readonly name: string;
  readonly numbers: readonly string[];
  readonly beyond: string;
  readonly tests: readonly string[];
}

/** Every setting that is a limit, by its name in a configuration. */
function settings(): ReadonlyMap<string, Bounds> {
  const { properties = {} } = z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" });
  const { limits, numFetchers, maxPending } = properties as unknown as {
    limits: { properties: Record<string, Bounds> };
  } & Record<"numFetchers" | "maxPending", Bounds>;
  return new Map([
    ...Object.entries(limits.properties).map(([name, each]) => [`limits.${name}`, each] as const),
    ["numFetchers", numFetchers],
    ["maxPending", maxPending],
  ]);
}

function rows(): readonly Row[] {
  const page = readFileSync(join(ROOT, "docs/limits.md"), "utf8");
  return page
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => {
      const [name = "", fallback = "", least = "", most = "", , beyond = "", tests = ""] = line
        .slice(2, -2)
        .split(" | ");
      return {
        name: name.replaceAll("`", ""),
        numbers: [fallback, least, most],
        beyond,
        tests: tests.replaceAll("`", "").split(", "),
      };
    });
}

describe("the table of docs/limits.md", () => {
  test("has every limit of the schema, and no other", () => {
    expect(rows().map(({ name }) => name)).toEqual([...settings().keys()]);
  });

  test.each(rows())("has the default, the least and the most of $name", ({ name, numbers }) => {
    const bounds = settings().get(name);
    const fallback = name === "numFetchers" ? "processors" : String(bounds?.default);
    expect(numbers).toEqual([fallback, String(bounds?.minimum), String(bounds?.maximum)]);
    if (name === "numFetchers") expect(bounds?.default).toBe(availableParallelism());
  });

  test.each(rows())("gives tests of $name that are there and name it", ({ name, tests }) => {
    expect(tests.length).toBeGreaterThan(0);
    const own = name.replace("limits.", "");
    for (const path of tests) {
      expect(existsSync(join(ROOT, path)), path).toBe(true);
      expect(readFileSync(join(ROOT, path), "utf8"), path).toContain(own);
    }
  });

  test.each(rows())(
    "says that what is beyond $name waits or is forgotten, or names it in the words",
    ({ name, beyond }) => {
      if (!/waits|forgotten|the same/.test(beyond)) expect(beyond.replace(/.*?`/, "")).toContain(name);
    },
  );
});
