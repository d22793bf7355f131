import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT, shapeOf, sourceFiles } from "../support/source-tree.js";

const LONGEST_FILE = 300;
const LONGEST_FUNCTION = 80;
/** How the files begin that a program writes: nobody reads them from top to bottom. */
const MADE = "/** Made from the definitions of the methods by `npm run docs:api`";
/** Only ever lower it. */
const MOST_CASTS = 49;

/** Base names that two files have, with the reason. */
const SHARED_NAMES: Readonly<Record<string, string>> = {
  reads: "both drivers are parted alike",
  changes: "both drivers are parted alike",
  transfers: "both drivers are parted alike",
  images: "a noun's methods and its operations",
  volumes: "a noun's methods and its operations",
  snapshots: "a noun's methods and its operations",
  backups: "a noun's methods and its operations",
  bookmarks: "a noun's methods and its operations",
  guests: "a noun's methods and its operations",
  pools: "a noun's methods and its operations",
};

const files = sourceFiles();
const shapes = files.map((file) => ({ path: file.path, ...shapeOf(file) }));

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-structure-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function run(folder: string, ...argv: string[]): { status: number | null; output: string } {
  const [program = "", ...args] = argv;
  const { status, stdout, stderr } = spawnSync(join(ROOT, "node_modules/.bin", program), args, {
    cwd: folder,
    encoding: "utf8",
  });
  return { status, output: stdout + stderr };
}

describe("the shape of the code", () => {
  test(`no file has more than ${LONGEST_FILE} lines`, () => {
    const made = new Set(files.filter(({ text }) => text.startsWith(MADE)).map(({ path }) => path));
    const long = shapes.filter(({ path, lines }) => lines > LONGEST_FILE && !made.has(path));
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test(`no function has more than ${LONGEST_FUNCTION} lines without those of the functions in it`, () => {
    const long = shapes.flatMap(({ path, functions }) =>
      functions
        .filter(({ lines }) => lines > LONGEST_FUNCTION)
        .map(({ name, lines }) => `${path}: ${name}, ${lines} lines`),
    );
    expect(long).toEqual([]);
  });

  test("nothing is any, and nothing is asserted to be there", () => {
    const found = shapes.filter(({ anys, nonNullAssertions }) => anys + nonNullAssertions > 0);
    expect(found.map(({ path }) => path)).toEqual([]);
  });

  test(`there are no more than ${MOST_CASTS} casts`, () => {
    expect(shapes.reduce((sum, { casts }) => sum + casts, 0)).toBeLessThanOrEqual(MOST_CASTS);
  });

  test("no module keeps state", () => {
    const found = shapes.flatMap(({ path, mutableState }) => mutableState.map((name) => `${path}: ${name}`));
    expect(found).toEqual([]);
  });

  test("two files have one base name only for a reason", () => {
    const paths = new Map<string, string[]>();
    for (const { path } of files) {
      const name = basename(path, ".ts");
      paths.set(name, [...(paths.get(name) ?? []), path]);
    }
    const twice = [...paths].filter(([name, found]) => found.length > 1 && !(name in SHARED_NAMES));
    expect(twice).toEqual([]);
    for (const name of Object.keys(SHARED_NAMES)) expect(paths.get(name)?.length, name).toBe(2);
  });

  test("what is measured is seen: a file that breaks every rule", () => {
    const text = [
      "let count = 0;",
      "export const seen = new Map<string, number>();",
      "const known: string[] = [];",
      "export const LIMITS: ReadonlyMap<string, number> = new Map();",
      "export function long(value: any): number {",
      "  const inner = () => {",
      ...Array.from({ length: 90 }, () => "    count++;"),
      "  };",
      ...Array.from({ length: 90 }, () => "  inner();"),
      "  return (value as string).length + known.at(0)!.length + ([1] as const)[0];",
      "}",
      "",
    ].join("\n");
    expect(shapeOf({ path: "src/breaks.ts", text })).toEqual({
      lines: 189,
      functions: [
        { name: "line 6", lines: 92 },
        { name: "long", lines: 93 },
      ],
      casts: 1,
      nonNullAssertions: 1,
      anys: 1,
      mutableState: ["count", "seen", "known: string[]"],
    });
  });
});

/** A file of a room, what it must not import, and words of the reason. */
const FORBIDDEN = [
  ["src/main/pools/x.ts", "../../workers/actor/record-file.js", "main and workers"],
  ["src/main/http/x.ts", "../rpc/endpoint.js", "Below the seam"],
  ["src/main/http/x.ts", "../../protocol/json-rpc/json.js", "Below the seam"],
  ["src/main/commands/image/x.ts", "../../../workers/drivers/embedded/volume-files.js", "main and workers"],
  ["src/main/commands/image/x.ts", "../../daemon.js", "without a daemon"],
  ["src/main/commands/terminal/x.ts", "../client/verbs.js", "nothing of what they are about"],
  ["src/protocol/json-rpc/x.ts", "../../main/routes.js", "neither main nor workers"],
  ["src/protocol/http/x.ts", "../../main/routes.js", "neither main nor workers"],
  ["src/protocol/http/x.ts", "../storage/failures.js", "neither JSON-RPC nor pools"],
  ["src/protocol/threads/x.ts", "../../workers/drivers/driver.js", "neither main nor workers"],
  ["src/protocol/storage/x.ts", "../json-rpc/json.js", "lowest room"],
  ["src/client/x.ts", "../protocol/storage/records.js", "runs in browsers"],
  ["src/client/x.ts", "node:http", "runs in browsers"],
  ["src/protocol/api/x.ts", "../json-rpc/methods/table.js", "words about the methods"],
  ["src/protocol/tracing/x.ts", "../storage/operations.js", "A span knows nothing"],
  ["src/protocol/zfs-stream/x.ts", "../raw-disk/file-writes.js", "The codec"],
  ["src/protocol/zfs-stream/x.ts", "node:fs", "The codec"],
  ["src/workers/actor/x.ts", "../../main/routes.js", "main and workers"],
  ["src/workers/actor/x.ts", "../pool-actor.js", "started by name"],
  ["src/workers/actor/operations/x.ts", "../../drivers/openzfs/openzfs-driver.js", "the seam"],
  ["src/workers/actor/operations/x.ts", "../../streams/image-fetch.js", "the seam"],
  ["src/workers/drivers/x.ts", "../actor/reconcile.js", "knows no operation"],
  ["src/workers/drivers/openzfs/x.ts", "../../actor/operations/images.js", "knows no operation"],
  ["src/workers/drivers/openzfs/x.ts", "../embedded/catalog.js", "nothing else"],
  ["src/workers/drivers/embedded/x.ts", "../openzfs/look-ups.js", "nothing else"],
  ["src/workers/processes/x.ts", "../drivers/driver.js", "serve actors and drivers"],
  ["src/workers/streams/x.ts", "../actor/fetch-queue.js", "serve actors and drivers"],
  ["src/workers/backups/x.ts", "../actor/fetch-queue.js", "serve actors and drivers"],
  ["src/workers/processes/x.ts", "../libzfs/libzfs-core.js", "in the runner only"],
  ["src/workers/drivers/openzfs/x.ts", "../../libzfs/native-functions.js", "in the runner only"],
  ["src/workers/libzfs/x.ts", "../processes/slots.js", "nothing but its calls"],
] as const;

/** What the rooms are made to import. */
const ALLOWED = [
  ["src/main/pools/x.ts", "../../protocol/threads/link.js"],
  ["src/main/rpc/x.ts", "../http/encoding.js"],
  ["src/main/http/x.ts", "../../protocol/http/transport.js"],
  ["src/main/commands/image/x.ts", "../../../protocol/raw-disk/send-volume.js"],
  ["src/main/commands/terminal/x.ts", "../../diagnosis/text-layout.js"],
  ["src/protocol/json-rpc/x.ts", "../storage/names.js"],
  ["src/protocol/http/x.ts", "../tracing/span.js"],
  ["src/protocol/api/x.ts", "../storage/failures.js"],
  ["src/client/x.ts", "./wire-json.js"],
  ["src/protocol/raw-disk/x.ts", "node:fs"],
  ["src/workers/actor/operations/x.ts", "../../drivers/driver.js"],
  ["src/workers/drivers/openzfs/x.ts", "../../processes/run-command.js"],
  ["src/workers/drivers/openzfs/x.ts", "../../libzfs/library-call.js"],
  ["src/workers/streams/x.ts", "../processes/child-process.js"],
  ["src/workers/backups/x.ts", "../streams/receive-command.js"],
  ["src/protocol/backups/x.ts", "../storage/failures.js"],
] as const;

describe("who imports whom", () => {
  /** A folder with the tree's own rules, and nothing else. */
  function folderWithRules(name: string): string {
    const folder = mkdtempSync(join(scratch, name));
    const rules = JSON.parse(readFileSync(join(ROOT, "biome.json"), "utf8"));
    rules.vcs = { enabled: false };
    delete rules.$schema;
    writeFileSync(join(folder, "biome.json"), JSON.stringify(rules));
    return folder;
  }

  /** What the rules say of each of these files, which differ in a number. All are read by one run. */
  let said: ReadonlyMap<string, string>;
  let checked = "";
  const numbered = (path: string, index: number) => path.replace("x.ts", `x${index}.ts`);
  beforeAll(() => {
    const folder = folderWithRules("rules-");
    for (const [index, [path, imported]] of [...FORBIDDEN, ...ALLOWED].entries()) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      const text = `import type { X } from "${imported}";\n\nexport type Y = X;\n`;
      writeFileSync(join(folder, numbered(path, index)), text);
    }
    const { output } = run(folder, "biome", "lint", "--max-diagnostics=none", "--colors=off", ".");
    checked = /^Checked .*$/m.exec(output)?.[0] ?? output;
    const parts = output
      .split(/^(?=src\/\S+:\d+:\d+ )/m)
      .map((part) => [part.split(":", 1)[0] ?? "", part] as const);
    said = new Map(parts);
  });

  test.each(FORBIDDEN.map((each, index) => [...each, index] as const))(
    "%s must not import %s",
    (path, _imported, reason, index) => {
      const output = said.get(numbered(path, index));
      expect(output).toContain("lint/style/noRestrictedImports");
      expect(output).toContain(reason);
    },
  );

  test.each(ALLOWED.map((each, index) => [...each, FORBIDDEN.length + index] as const))(
    "%s may import %s",
    (path, _imported, index) => {
      expect(checked).toContain(`Checked ${FORBIDDEN.length + ALLOWED.length + 1} files`);
      expect(said.get(numbered(path, index))).toBeUndefined();
    },
  );

  test("the whole tree keeps the rules, and has no cycle", () => {
    const { status, output } = run(ROOT, "biome", "lint", "--colors=off", "src");
    expect([status, output]).toEqual([0, expect.stringContaining("Checked")]);
  });

  test("a cycle is seen, even one of types only", () => {
    const folder = folderWithRules("cycle-");
    mkdirSync(join(folder, "src/main"), { recursive: true });
    for (const [own, other] of [
      ["A", "B"],
      ["B", "A"],
    ] as const) {
      const text = `import type { ${other} } from "./${other}.js";\n\nexport interface ${own} {\n  readonly other: ${other};\n}\n`;
      writeFileSync(join(folder, `src/main/${own}.ts`), text);
    }
    const { status, output } = run(folder, "biome", "lint", "--colors=off", ".");
    expect(status).toBe(1);
    expect(output).toContain("lint/suspicious/noImportCycles");
  });
});

describe("nothing is unused", () => {
  test("no file, no export, no package", () => {
    expect(run(ROOT, "knip", "--no-progress")).toEqual({ status: 0, output: "" });
  });

  test("an export that nobody imports is seen", () => {
    const folder = join(scratch, "unused");
    for (const each of [
      "src",
      "test",
      "bench",
      "package.json",
      "knip.json",
      "tsconfig.json",
      "vitest.config.ts",
    ]) {
      cpSync(join(ROOT, each), join(folder, each), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "src/main/routes.ts"), "\nexport const nobodyNeedsThis = 1;\n", { flag: "a" });
    const { status, output } = run(folder, "knip", "--no-progress");
    expect(status).toBe(1);
    expect(output).toContain("nobodyNeedsThis");
  });
});
