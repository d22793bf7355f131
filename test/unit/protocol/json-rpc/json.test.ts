import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type JsonValue, READ_DEPTH, readJson, tokenOf } from "../../../../src/protocol/json-rpc/json.js";
import { compactToken, quote } from "../../../../src/protocol/json-rpc/json-text.js";
import {
  jsonTree,
  noSpace,
  numberToken,
  scalarToken,
  spaces,
  stringToken,
  type Tree,
  type Written,
  write,
} from "../../../support/json-text.js";

function parsed(text: string): JsonValue {
  const read = readJson(text);
  if ("problem" in read) throw new Error(`${read.problem}: ${text.slice(0, 100)}`);
  return read.value;
}

const isJson = (text: string) => "value" in readJson(text);

/** The kind of a value, by JSON.parse and not by its first character. */
function kindByParse(token: string): string {
  const value: unknown = JSON.parse(token);
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function escaped(json: string): string {
  return json
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e")
    .replaceAll("&", "\\u0026")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

/** Compares every part of a value with the text that was written for it, down to READ_DEPTH. */
function expectParts(value: JsonValue, tree: Tree, written: Written, depth = 0): void {
  expect(tokenOf(value)).toBe(written.text);
  expect(value.kind).toBe(kindByParse(written.text));
  expect(value.string).toBe(value.kind === "string" ? JSON.parse(written.text) : "");
  if (tree.kind === "scalar") return;
  if (depth >= READ_DEPTH) return expect(value.items).toEqual([]);
  const trees = tree.kind === "array" ? tree.items : tree.members.map(([, member]) => member);
  expect(value.items.length).toBe(trees.length);
  expect(value.keys).toEqual(written.keys.map((key) => JSON.parse(key)));
  for (const [index, item] of value.items.entries()) {
    const part = trees[index];
    const own = written.parts[index];
    if (!part || !own) throw new Error("more parts than were written");
    expectParts(item, part, own, depth + 1);
  }
}

describe("values", () => {
  test("every part of any JSON text is found, wherever white space stands", () => {
    fc.assert(
      fc.property(jsonTree, spaces, (tree, gap) => {
        const written = write(tree, gap);
        const text = `${gap()}${written.text}${gap()}`;
        expectParts(parsed(text), tree, written);
      }),
      { numRuns: 500 },
    );
  });

  test("what JSON.stringify writes, plain or indented, comes back part for part", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 2, "\t"), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        const { start, end, kind, keys, items } = parsed(text);
        expect({ start, end }).toEqual({ start: 0, end: text.length });
        const parts = items.map((item) => JSON.parse(tokenOf(item)));
        if (kind === "array") expect(parts).toEqual(JSON.parse(text));
        if (kind === "object") {
          const pairs = keys.map((key, index) => [key, parts[index]]);
          expect(pairs).toEqual(Object.entries(JSON.parse(text) as object));
        }
      }),
    );
  });

  test("duplicate keys are all there, in the order written", () => {
    const text = '{"a":1, "b":2, "a":3}';
    const { keys, items } = parsed(text);
    expect(keys).toEqual(["a", "b", "a"]);
    expect(items.map(tokenOf)).toEqual(["1", "2", "3"]);
  });

  test.each(["[]", "[ \n ]"])("the empty array %j has no elements", (text) => {
    expect(parsed(text)).toMatchObject({ kind: "array", items: [] });
  });

  test.each(["{}", "{ \t}"])("the empty object %j has no members", (text) => {
    expect(parsed(text)).toMatchObject({ kind: "object", keys: [], items: [] });
  });

  test("brackets and quotes inside strings end nothing", () => {
    const text = '[{"}]":"\\"}]"},"]"]';
    expect(parsed(text).items.map(tokenOf)).toEqual(['{"}]":"\\"}]"}', '"]"']);
  });

  test("a million open brackets are read without recursion", () => {
    const depth = 500_000;
    const text = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const value = parsed(text);
    expect(value).toMatchObject({ start: 0, end: 2 * depth });
    expect(value.items).toMatchObject([{ start: 1, end: 2 * depth - 1 }]);
    expect(compactToken(value).length).toBe(2 * depth);
  });

  test("a text is good exactly if JSON.parse takes it, wherever a good one is cut or changed", () => {
    const character = fc.constantFrom(...'{}[]",:\\ 019-+.eEtrufalsn\n\t\u0000\u001f\u00e9\ufeff');
    const edit = fc.record({
      at: fc.nat(),
      drop: fc.nat(3),
      put: fc.string({ unit: character, maxLength: 3 }),
    });
    const base = fc.oneof(
      fc.jsonValue({ maxDepth: 10 }).map((value) => JSON.stringify(value)),
      fc.tuple(jsonTree, spaces).map(([tree, gap]) => write(tree, gap).text),
      fc.constant('{"method":"ImageStore.GetImage","params":[{"id":"golden","size":8}],"id":7}'),
    );
    let good = 0;
    fc.assert(
      fc.property(base, fc.array(edit, { maxLength: 2 }), (start, edits) => {
        let text = start;
        for (const { at, drop, put } of edits) {
          const from = at % (text.length + 1);
          text = text.slice(0, from) + put + text.slice(from + drop);
        }
        let isGood = true;
        try {
          JSON.parse(text);
          good++;
        } catch {
          isGood = false;
        }
        expect([text, isJson(text)]).toEqual([text, isGood]);
      }),
      { numRuns: 5_000 },
    );
    expect(good).toBeGreaterThan(500);
  });

  test.each(["", " ", "{", "[1,]", "{'a':1}", "01", "+1", "nul", '"\n"', "[1] 2", "\ufeff[]", "NaN"])(
    "%j is called no JSON, with a reason",
    (text) => {
      expect(readJson(text)).toMatchObject({ problem: expect.stringMatching(/\S/) });
    },
  );
});

/** Pieces of which strings are made that end, or don't, or are no JSON. Many are longer than 128 characters. */
const piece = fc.oneof(
  fc.constantFrom(
    '\\"',
    "\\\\",
    "\\n",
    "\\/",
    "\\u00e9",
    "\\ud800",
    "\\uDC00",
    "é",
    "\u2028",
    "😀",
    "\ud800",
    " ",
  ),
  fc.constantFrom('"', "\\", "\\x", "\\u12", "\\u12G4", "\n", "\u0000", "\u001f", "\u007f", "\\\n"),
  fc.integer({ min: 0, max: 300 }).map((length) => "x".repeat(length)),
  fc.integer({ min: 1, max: 300 }).map((length) => "\\".repeat(length)),
  fc.integer({ min: 1, max: 150 }).map((length) => '\\"'.repeat(length)),
);

describe("long strings", () => {
  test("are read as JSON.parse reads them, or refused where it refuses them", () => {
    const read = { good: 0, refused: 0 };
    const around = fc.constantFrom(
      "#",
      " #",
      "[#]",
      '{"a":#,"b":"c"}',
      '{#:1,"a":#}',
      "[[[[[[[[[[#,{#:[]}]]]]]]]]]]",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), around, (pieces, frame) => {
        const token = `"${pieces.join("")}"`;
        const text = frame.replaceAll("#", () => token);
        let value: unknown;
        try {
          value = JSON.parse(text);
        } catch {
          read.refused++;
          expect([text, isJson(text)]).toEqual([text, false]);
          return;
        }
        read.good++;
        const { string, keys } = parsed(text);
        if (typeof value === "string") expect(string).toBe(value);
        else if (!Array.isArray(value)) expect(new Set(keys)).toEqual(new Set(Object.keys(value as object)));
      }),
      { numRuns: 3_000 },
    );
    expect(Math.min(read.good, read.refused)).toBeGreaterThan(300);
  });

  test("a refused text is told with the words of JSON.parse", () => {
    for (const text of ['"\\x"', `"${"x".repeat(200)}\n"`, `["${"x".repeat(200)}`, `"${"\\".repeat(301)}"`]) {
      let words = "";
      try {
        JSON.parse(text);
      } catch (error) {
        words = (error as Error).message;
      }
      expect(readJson(text)).toEqual({ problem: words });
      expect(words).not.toBe("");
    }
  });

  const MANY = 8 * 1024 * 1024;
  /** Milliseconds of the fastest run of each, of several that take turns. */
  function fastest(...works: readonly (() => void)[]): number[] {
    const best = works.map(() => Number.POSITIVE_INFINITY);
    for (let round = 0; round < 5; round++) {
      for (const [index, work] of works.entries()) {
        const startedAt = performance.now();
        work();
        best[index] = Math.min(best[index] ?? 0, performance.now() - startedAt);
      }
    }
    return best;
  }
  const kinds = ["x", "é", "日", '\\"', "\\\\", "\\u00e9", "a\\n<", "<&>"];

  test.each(kinds)("of 8 MiB of %j cost no more than a few runs of JSON.parse", (unit) => {
    const text = `["${unit.repeat(MANY / unit.length)}"]`;
    const [ours = 0, theirs = 0] = fastest(
      () => parsed(text),
      () => JSON.parse(text),
    );
    expect(ours).toBeLessThan(6 * theirs);
  });

  test.each(["x", '\\"', "a\\n<"])("of 16 MiB of %j are repeated, in an array too", (unit) => {
    const many = (text: string) => `"${text.repeat((2 * MANY) / unit.length)}"`;
    const token = many(unit);
    const repeated = compactToken(parsed(`[ ${token}, {"a" : ${token}} ]`));
    const expected = many(escaped(unit));
    expect(repeated === `[${expected},{"a":${expected}}]`).toBe(true);
    const quoted = escaped(JSON.stringify(JSON.parse(`"${unit}"`))).slice(1, -1);
    expect(quote(parsed(token).string) === many(quoted)).toBe(true);
  });
});

describe("strings", () => {
  test("a string token stands for what JSON.parse makes of it", () => {
    fc.assert(
      fc.property(stringToken, (token) => {
        expect(parsed(token).string).toBe(JSON.parse(token));
      }),
    );
  });

  test("quote gives a token that stands for the string and holds none of Go's five characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const token = quote(value);
        expect(JSON.parse(token)).toBe(value);
        expect(token).not.toMatch(/[<>&\u2028\u2029]/);
        expect(token).toBe(escaped(JSON.stringify(value)));
      }),
    );
  });

  test("quote writes the five characters as Go does", () => {
    expect(quote("<a href='x'>&\u2028\u2029</a>")).toBe(
      `"\\u003ca href='x'\\u003e\\u0026\\u2028\\u2029\\u003c/a\\u003e"`,
    );
  });
});

describe("compactToken", () => {
  test("only the space between parts goes, and only Go's five characters change", () => {
    fc.assert(
      fc.property(jsonTree, spaces, (tree, gap) => {
        const { text } = write(tree, gap);
        const compact = compactToken(parsed(text));
        expect(compact).toBe(escaped(write(tree, noSpace).text));
      }),
      { numRuns: 500 },
    );
  });

  test("it means the same as before", () => {
    fc.assert(
      fc.property(jsonTree, spaces, (tree, gap) => {
        const { text } = write(tree, gap);
        expect(JSON.parse(compactToken(parsed(text)))).toEqual(JSON.parse(text));
      }),
    );
  });

  test("number tokens stay digit for digit", () => {
    fc.assert(
      fc.property(numberToken, (token) => {
        expect(compactToken(parsed(token))).toBe(token);
        const text = `[ ${token} ]`;
        expect(compactToken(parsed(text))).toBe(`[${token}]`);
      }),
    );
  });

  test("it takes the token at its span and nothing around it", () => {
    fc.assert(
      fc.property(scalarToken, spaces, (token, gap) => {
        const text = `${gap()}${token}${gap()}`;
        expect(compactToken(parsed(text))).toBe(escaped(token));
      }),
    );
  });

  test("a string of four million characters, escapes among them, passes", () => {
    const text = `[ "${"a\\n<".repeat(1_000_000)}" ]`;
    const compact = compactToken(parsed(text));
    expect(compact.length).toBe('[""]'.length + 1_000_000 * "a\\n\\u003c".length);
  });
});
