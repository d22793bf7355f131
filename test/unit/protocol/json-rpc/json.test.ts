import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compactToken,
  elementsOf,
  jsonProblem,
  kindOf,
  membersOf,
  quote,
  type Span,
  stringValue,
  wholeValue,
} from "../../../../src/protocol/json-rpc/json.js";
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

const slice = (text: string, span: Span) => text.slice(span.start, span.end);

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

/** Walks a text by its spans and compares every part with what was written there. */
function expectSpans(text: string, span: Span, tree: Tree, written: Written): void {
  expect(slice(text, span)).toBe(written.text);
  expect(kindOf(text, span.start)).toBe(kindByParse(written.text));
  if (tree.kind === "scalar") return;
  const values = tree.kind === "array" ? tree.items : tree.members.map(([, value]) => value);
  const found =
    tree.kind === "array"
      ? elementsOf(text, span.start).map((element) => ({ ...element, key: undefined }))
      : membersOf(text, span.start);
  expect(found.length).toBe(values.length);
  for (const [index, part] of found.entries()) {
    const value = values[index];
    const own = written.parts[index];
    if (!value || !own) throw new Error("more parts than were written");
    if (part.key !== undefined) expect(part.key).toBe(JSON.parse(written.keys[index] ?? ""));
    expectSpans(text, part, value, own);
  }
}

describe("spans", () => {
  test("every part of any JSON text is found, wherever white space stands", () => {
    fc.assert(
      fc.property(jsonTree, spaces, (tree, gap) => {
        const written = write(tree, gap);
        const text = `${gap()}${written.text}${gap()}`;
        expect(jsonProblem(text)).toBeUndefined();
        expectSpans(text, wholeValue(text), tree, written);
      }),
      { numRuns: 500 },
    );
  });

  test("what JSON.stringify writes, plain or indented, comes back part for part", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(0, 2, "\t"), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        const span = wholeValue(text);
        expect(span).toEqual({ start: 0, end: text.length });
        if (kindOf(text, 0) === "array") {
          expect(elementsOf(text, 0).map((each) => JSON.parse(slice(text, each)))).toEqual(JSON.parse(text));
        }
        if (kindOf(text, 0) === "object") {
          const pairs = membersOf(text, 0).map((each) => [each.key, JSON.parse(slice(text, each))]);
          expect(pairs).toEqual(Object.entries(JSON.parse(text) as object));
        }
      }),
    );
  });

  test("duplicate keys are all there, in the order written", () => {
    const text = '{"a":1, "b":2, "a":3}';
    expect(membersOf(text, 0).map((each) => [each.key, slice(text, each)])).toEqual([
      ["a", "1"],
      ["b", "2"],
      ["a", "3"],
    ]);
  });

  test.each(["[]", "[ \n ]"])("the empty array %j has no elements", (text) => {
    expect(elementsOf(text, 0)).toEqual([]);
  });

  test.each(["{}", "{ \t}"])("the empty object %j has no members", (text) => {
    expect(membersOf(text, 0)).toEqual([]);
  });

  test("brackets and quotes inside strings end nothing", () => {
    const text = '[{"}]":"\\"}]"},"]"]';
    expect(elementsOf(text, 0).map((each) => slice(text, each))).toEqual(['{"}]":"\\"}]"}', '"]"']);
  });

  test("a million open brackets are read without recursion", () => {
    const depth = 500_000;
    const text = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    expect(jsonProblem(text)).toBeUndefined();
    expect(wholeValue(text)).toEqual({ start: 0, end: 2 * depth });
    expect(elementsOf(text, 0)).toEqual([{ start: 1, end: 2 * depth - 1 }]);
    expect(compactToken(text, wholeValue(text)).length).toBe(2 * depth);
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
        expect([text, jsonProblem(text) === undefined]).toEqual([text, isGood]);
      }),
      { numRuns: 5_000 },
    );
    expect(good).toBeGreaterThan(500);
  });

  test.each(["", " ", "{", "[1,]", "{'a':1}", "01", "+1", "nul", '"\n"', "[1] 2", "\ufeff[]", "NaN"])(
    "%j is called no JSON, with a reason",
    (text) => {
      expect(jsonProblem(text)).toMatch(/\S/);
    },
  );
});

describe("strings", () => {
  test("a string token stands for what JSON.parse makes of it", () => {
    fc.assert(
      fc.property(stringToken, (token) => {
        expect(stringValue(token, { start: 0, end: token.length })).toBe(JSON.parse(token));
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
        const compact = compactToken(text, { start: 0, end: text.length });
        expect(compact).toBe(escaped(write(tree, noSpace).text));
      }),
      { numRuns: 500 },
    );
  });

  test("it means the same as before", () => {
    fc.assert(
      fc.property(jsonTree, spaces, (tree, gap) => {
        const { text } = write(tree, gap);
        expect(JSON.parse(compactToken(text, { start: 0, end: text.length }))).toEqual(JSON.parse(text));
      }),
    );
  });

  test("number tokens stay digit for digit", () => {
    fc.assert(
      fc.property(numberToken, (token) => {
        expect(compactToken(token, { start: 0, end: token.length })).toBe(token);
        const text = `[ ${token} ]`;
        expect(compactToken(text, wholeValue(text))).toBe(`[${token}]`);
      }),
    );
  });

  test("it takes the token at its span and nothing around it", () => {
    fc.assert(
      fc.property(scalarToken, spaces, (token, gap) => {
        const text = `${gap()}${token}${gap()}`;
        expect(compactToken(text, wholeValue(text))).toBe(escaped(token));
      }),
    );
  });

  test("a string of four million characters, escapes among them, passes", () => {
    const text = `[ "${"a\\n<".repeat(1_000_000)}" ]`;
    const compact = compactToken(text, wholeValue(text));
    expect(compact.length).toBe('[""]'.length + 1_000_000 * "a\\n\\u003c".length);
  });
});
