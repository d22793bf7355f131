import { spawnSync } from "node:child_process";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { bashCompletion, fishCompletion, zshCompletion } from "../../../../scripts/deb/completions.mjs";
import { manPages } from "../../../../scripts/deb/man-pages.mjs";
import { EXIT } from "../../../../src/main/commands/client/call-failure.js";
import { EXAMPLES } from "../../../../src/main/commands/examples.js";
import { createProgram } from "../../../../src/main/commands/program.js";

const program = createProgram("1.2.3");
const METHODS = ["GetPool", "GetVolume", "ListVolumes"];
const all = (command: Command): Command[] => [command, ...command.commands.flatMap(all)];
const flags = all(program).flatMap((command) => command.options.map(({ long }) => long ?? ""));

const hasMan = spawnSync("man", ["--version"]).status === 0;
if (!hasMan) console.log("whether man can show the pages is not checked: there is no man");

/** What bash offers for the last of these words. */
function offered(...words: string[]): string[] {
  const contexts = `[{"name":"lab","url":"http://a"},{"name":"laptop","url":"http://b"},{"name":"home","url":"unix:/s"}]`;
  const pools = `[{"name":"tank","driver":"embedded","size":1},{"name":"dozer","driver":"openzfs","size":2}]`;
  const answers = [
    `[[ "$*" == "context list --json" ]] && echo '{"contexts":${contexts}}'`,
    `[[ "$*" == "pool status --json" ]] && echo '{"pools":${pools}}'`,
  ];
  const imagestore = `imagestore() { ${answers.join("; ")}; }`;
  const script = `${imagestore}\n${bashCompletion(program, METHODS)}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _imagestore\necho "\${COMPREPLY[*]}"`;
  const { stdout } = spawnSync("bash", ["-c", script, "bash", ...words], { encoding: "utf8" });
  return stdout.trim().split(" ");
}

describe("man pages", () => {
  const pages = manPages(program, { version: "1.2.3", date: "2026-11-28", examples: EXAMPLES });

  test("there is one of the program, and one of each of its commands", () => {
    expect(pages.map(({ name, section }) => `${name}(${section})`)).toEqual([
      "imagestore(8)",
      ...program.commands.map((each) => `imagestore-${each.name()}(${each.name() === "image" ? 1 : 8})`),
    ]);
  });

  test("they have every option and every description", () => {
    const text = pages.map((page) => page.text.replaceAll("\\-", "-")).join("");
    expect(flags.length).toBeGreaterThan(15);
    for (const flag of flags) expect(text).toContain(flag);
    for (const command of all(program)) expect(text).toContain(command.description());
  });

  test("they have the examples, and every exit status", () => {
    for (const page of pages) {
      const text = page.text.replaceAll("\\-", "-");
      for (const line of EXAMPLES[page.name.replace("-", " ")] ?? []) expect(text).toContain(line);
      for (const status of Object.values(EXIT)) expect(text).toContain(`.B ${status}\n`);
    }
  });

  test.skipIf(!hasMan)("man shows them without a warning", () => {
    for (const { text } of pages) {
      const { stdout, stderr } = spawnSync("man", ["--warnings", "-l", "-"], {
        input: text,
        encoding: "utf8",
        env: { ...process.env, MANPAGER: "cat", MANWIDTH: "80", LC_ALL: "C.UTF-8" },
      });
      expect({ stderr, hasName: stdout.includes("NAME") }).toEqual({ stderr: "", hasName: true });
    }
  });
});

describe("the examples", () => {
  const lines = Object.values(EXAMPLES).flat();

  test.each(lines)("are commands with options that there are: %s", (line) => {
    const [name, ...words] = line.split(" ");
    expect(name).toBe("imagestore");
    const commandOf = (at: Command, [word, ...rest]: readonly string[]): Command => {
      const inner = at.commands.find((each) => each.name() === word);
      return inner ? commandOf(inner, rest) : at;
    };
    const command = commandOf(program, words);
    expect(command.commands).toEqual([]);
    const known = command.options.flatMap(({ short, long }) => [short, long]);
    for (const word of words.filter((each) => each.startsWith("-"))) expect(known).toContain(word);
  });

  test.each(Object.entries(EXAMPLES))("of %s begin with that command", (path, [first]) => {
    expect(first?.startsWith(path)).toBe(true);
  });

  test("every command with commands below it has some", () => {
    for (const command of program.commands.filter((each) => each.commands.length > 0))
      expect(Object.keys(EXAMPLES)).toContain(`imagestore ${command.name()}`);
  });
});

describe("completion", () => {
  test("of bash offers commands, their commands and their options", () => {
    expect(offered("imagestore", "d")).toEqual(["diagnose"]);
    expect(offered("imagestore", "image", "")).toEqual(expect.arrayContaining(["pack", "unpack"]));
    expect(offered("imagestore", "image", "serve", "--po")).toEqual(["--port"]);
    expect(offered("imagestore", "serve", "-c", "x", "--tr")).toEqual(["--transport"]);
  });

  test("of bash offers the user's contexts, where one is named", () => {
    expect(offered("imagestore", "pool", "status", "--context", "la")).toEqual(["lab", "laptop"]);
    expect(offered("imagestore", "context", "use", "h")).toEqual(["home"]);
    expect(offered("imagestore", "context", "remove", "lab", "lap")).toEqual(["laptop"]);
  });

  test("of zsh and fish asks for the user's contexts", () => {
    const asks = "imagestore context list --json";
    expect(zshCompletion(program, METHODS).split(asks)).toHaveLength(3);
    expect(
      fishCompletion(program, METHODS)
        .split("\n")
        .filter((line) => line.includes(asks)).length,
    ).toBeGreaterThan(30);
  });

  test("of bash offers the daemon's pools, and its methods", () => {
    expect(offered("imagestore", "volume", "list", "--pool", "")).toEqual(["tank", "dozer"]);
    expect(offered("imagestore", "volume", "list", "--pool", "do")).toEqual(["dozer"]);
    expect(offered("imagestore", "call", "Get")).toEqual(["GetPool", "GetVolume"]);
  });

  test("of zsh and fish asks for the daemon's pools, and has its methods", () => {
    for (const text of [zshCompletion(program, METHODS), fishCompletion(program, METHODS)]) {
      expect(text).toContain("imagestore pool status --json");
      expect(text).toContain("GetPool GetVolume ListVolumes");
    }
  });

  test("of zsh and fish has every command and every option", () => {
    for (const text of [zshCompletion(program, METHODS), fishCompletion(program, METHODS)]) {
      for (const flag of flags) expect(text).toContain(flag.slice(2));
      for (const command of all(program)) expect(text).toContain(command.name());
    }
  });
});
