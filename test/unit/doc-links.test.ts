import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { ROOT } from "../support/source-tree.js";

/** Every page in the tree, from the project's root. Untracked ones count too, ignored ones don't. */
function pages(): string[] {
  const listed = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return listed.stdout.split("\n").filter((path) => path !== "" && existsSync(join(ROOT, path)));
}

/** The text without its blocks of code: paths in them are examples. */
function proseOf(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "");
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = Array.from(proseOf(text).matchAll(/^#+ (.+)$/gm), ([, heading = ""]) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

/** The links of a page that lead nowhere. */
function brokenLinks(page: string, text: string): string[] {
  const links = Array.from(proseOf(text).matchAll(/\]\(([^)\s]+)\)/g), ([, link = ""]) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const target = join(ROOT, dirname(page), path);
    if (!existsSync(target)) return true;
    if (anchor === undefined) return false;
    return !anchorsOf(path === "" ? text : readFileSync(target, "utf8")).has(anchor);
  });
}

const OUR_PATH = /^(?:src|test|docs|bench|config|scripts|\.ci)\/[\w./-]+$/;

/** Paths in backquotes, from the project's root, that don't exist. NAME stands for any. */
function missingPaths(text: string): string[] {
  const quoted = Array.from(proseOf(text).matchAll(/`([^`\n]+)`/g), ([, code = ""]) => code);
  return quoted.filter(
    (code) => OUR_PATH.test(code) && !/\bNAME\b/.test(code) && !existsSync(join(ROOT, code)),
  );
}

/**
 * Tables with the columns `file` and `names`: each name in backquotes must occur in the file of
 * its row. Of `reader.poll` the last word counts.
 */
function missingNames(text: string): string[] {
  const missing: string[] = [];
  let columns: string[] = [];
  for (const line of proseOf(text).split("\n")) {
    const cells = line.startsWith("|") ? line.split("|").map((cell) => cell.trim()) : [];
    if (cells.includes("file") && cells.includes("names")) columns = cells;
    if (cells.length === 0) columns = [];
    const [file] = /[\w./-]+\.ts/.exec(cells[columns.indexOf("file")] ?? "") ?? [];
    if (file === undefined) continue;
    const source = readFileSync(join(ROOT, file), "utf8");
    for (const [, name = ""] of (cells[columns.indexOf("names")] ?? "").matchAll(/`([\w.]+)`/g)) {
      const word = name.slice(name.lastIndexOf(".") + 1);
      if (!new RegExp(`\\b${word}\\b`).test(source)) missing.push(`${file}: ${name}`);
    }
  }
  return missing;
}

describe("what the pages point at", () => {
  const texts = pages().map((page) => ({ page, text: readFileSync(join(ROOT, page), "utf8") }));

  test.each(texts)("the links of $page lead somewhere", ({ page, text }) => {
    expect(brokenLinks(page, text)).toEqual([]);
  });

  test.each(texts)("the paths in $page exist", ({ text }) => {
    expect(missingPaths(text)).toEqual([]);
  });

  test.each(texts)("the names in $page are in the files that it gives for them", ({ text }) => {
    expect(missingNames(text)).toEqual([]);
  });

  test("what is wrong is seen", () => {
    const text = [
      "# A heading, with `code`",
      "[a](#a-heading-with-code) [b](#another) [c](none.md) [d](docs/api.md#names) [e](https://host/none)",
      "`src/main/none.ts` and `src/main/cli.ts` and `src/**`",
      "| file | names |",
      "| --- | --- |",
      "| `src/main/release-stack.ts` | `createReleaseStack`, `stack.push`, `dropAll` |",
      "```sh",
      "cat `src/main/example.ts`",
      "```",
    ].join("\n");
    expect(brokenLinks("README.md", text)).toEqual(["#another", "none.md"]);
    expect(missingPaths(text)).toEqual(["src/main/none.ts"]);
    expect(missingNames(text)).toEqual(["src/main/release-stack.ts: dropAll"]);
  });
});
