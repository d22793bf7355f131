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
