import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { parseConfig } from "../../src/main/config/load.js";
import { createMethodTable } from "../../src/protocol/json-rpc/methods/table.js";

import { FAILURES } from "../../src/protocol/storage/failures.js";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** The paths of all settings in a configuration: `listen.port`, `pools[].name`. */
function settingsOf(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) return typeof value[0] === "object" ? settingsOf(value[0], `${path}[]`) : [path];
  if (typeof value !== "object" || value === null || path === "volumeProperties") return [path];
  return Object.entries(value).flatMap(([key, inner]) =>
    settingsOf(inner, path === "" ? key : `${path}.${key}`),
  );
}

describe("the documentation", () => {
  test("api.md has every failure with its numbers", () => {
    const api = read("docs/api.md");
    for (const [code, { rpc, http, errno, retryable }] of Object.entries(FAILURES)) {
      expect(api).toContain(`| \`${code}\` | ${rpc} | ${http} | ${errno} | ${retryable ? "yes" : "no"} |`);
    }
  });

  test("access.md has every method with its role", () => {
    const methods = createMethodTable();
    const rows = methods.names.map((name) => {
      const lookup = methods.find(name);
      return `| ${name} | ${"found" in lookup && lookup.found.role} |`;
    });
    expect(read("docs/access.md")).toContain(`| --- | --- |\n${rows.join("\n")}\n\n`);
  });

  test("api.md has every method", () => {
    const api = read("docs/api.md");
    for (const name of createMethodTable().names) expect(api).toMatch(new RegExp(`^\\| ${name}[ ,]`, "m"));
  });

  test("the README names every setting", () => {
    const readme = read("README.md");
    const config = parseConfig({});
    if (!config.ok) throw new Error(config.failure.message);
    for (const setting of settingsOf(config.value)) {
      const last = setting.slice(setting.lastIndexOf(".") + 1);
      expect(readme.includes(`\`${setting}\``) || readme.includes(`\`.${last}\``), setting).toBe(true);
    }
  });
});

/** The tests of faults.md as `FILE: NAME`; a name alone belongs to the file before it. */
function namedTests(page: string): { readonly file: string; readonly name: string }[] {
  const cells = page.split("\n").flatMap((line) => /^\| .* \| (`test\/.*) \|$/.exec(line)?.[1] ?? []);
  return cells.flatMap((cell) => {
    let file = "";
    return cell.split(/; |, (?=`test\/)/).flatMap((item) => {
      const [, found, rest = ""] = /^`(test\/[^`]+)`(.*)$/.exec(item) ?? [undefined, undefined, `: ${item}`];
      file = found ?? file;
      const name = /^: (.*?)(?: …)?$/.exec(rest)?.[1];
      return name === undefined || name.startsWith("[") ? [] : [{ file, name: name.replaceAll("`", "") }];
    });
  });
}

test("faults.md names tests that are there", () => {
  const tests = namedTests(read("docs/faults.md"));
  expect(tests.length).toBeGreaterThan(80);
  expect(tests.filter(({ file, name }) => !read(file).includes(name))).toEqual([]);
});
