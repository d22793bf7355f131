import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { apiPart, END, withPart } from "../../../scripts/api/page.mjs";
import { COMMON_FAILURES } from "../../../src/protocol/api/definition.js";
import { DEFINITIONS } from "../../../src/protocol/api/definitions.js";
import { RECORDS } from "../../../src/protocol/api/record-schemas.js";
import { createMethodTable } from "../../../src/protocol/json-rpc/methods/table.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PAGE = readFileSync(`${ROOT}/docs/api.md`, "utf8");
const part = apiPart({
  rows: createMethodTable().all,
  definitions: DEFINITIONS,
  records: RECORDS,
  common: COMMON_FAILURES,
});

test("what is made from the definitions is as they say: docs/api.md and the client's types", () => {
  const argv = ["scripts/docs-api.mjs", "--check"];
  const { status, stderr } = spawnSync(process.execPath, argv, { cwd: ROOT, encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

test("no line of the methods' part is by hand", () => {
  expect(withPart(PAGE, part)).toBe(PAGE);
  expect(withPart(PAGE.replace(END, `by hand\n${END}`), part)).toBe(PAGE);
  expect(PAGE.split("\n## ").filter((text) => /^(?:Methods|Records)\n/.test(text)).length).toBe(2);
});

test("a page without its marks is refused", () => {
  expect(() => withPart("# API\n", part)).toThrow("the page has no marks");
});
