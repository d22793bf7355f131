import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import {
  arrayOf,
  boolean,
  type FieldType,
  int64,
  mapOf,
  optional,
  readObject,
  readParams,
  string,
  struct,
  uint64,
} from "../../../../src/protocol/json-rpc/params.js";
import type { Outcome } from "../../../../src/protocol/storage/failures.js";
import { jsonTree, spaces, write } from "../../../support/json-text.js";

const disk = struct({ image: string, size: uint64 });
const guest = struct({ id: string, disks: arrayOf(disk), metadata: mapOf(string) });
const request = struct({
  id: string,
  size: uint64,
  recursive: boolean,
  guest: optional(guest),
});
const ZERO = { id: "", size: 0n, recursive: false, guest: undefined };

function read<T>(type: FieldType<T>, text: string): Outcome<T> {
  return readObject(type, "Request", text);
}

function accepted<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.value;
}

function refusal(text: string): string {
  const outcome = read(request, text);
  if (outcome.ok) throw new Error(`accepted: ${text}`);
  expect(outcome.failure.code).toBe("request.malformed");
  return outcome.failure.message;
}

/** The key, with the case of some letters changed. */
const inAnyCase = (key: string) =>
  fc
    .array(fc.boolean(), { minLength: key.length, maxLength: key.length })
    .map((upper) => [...key].map((char, at) => (upper[at] ? char.toUpperCase() : char)).join(""));

describe("Go's rules for members", () => {
  test("keys match in any case", () => {
    fc.assert(
      fc.property(inAnyCase("id"), inAnyCase("size"), inAnyCase("recursive"), (id, size, recursive) => {
        const text = `{"${id}":"a","${size}":7,"${recursive}":true}`;
        expect(read(request, text)).toEqual({
          ok: true,
          value: { ...ZERO, id: "a", size: 7n, recursive: true },
        });
      }),
    );
  });

  test("of duplicates the last that is not null wins, in whatever case they are", () => {
    const member = fc.tuple(inAnyCase("id"), fc.option(fc.string({ unit: "grapheme" })));
    fc.assert(
      fc.property(fc.array(member, { maxLength: 6 }), (members) => {
        const text = `{${members.map(([key, value]) => `"${key}":${JSON.stringify(value)}`).join(",")}}`;
        const last = members.map(([, value]) => value).findLast((value) => value !== null);
        expect(accepted(read(request, text)).id).toBe(last ?? "");
      }),
    );
  });

  test("null leaves every field at its zero value", () => {
    const text = '{"id":null,"size":null,"recursive":null,"guest":null}';
    expect(read(request, text)).toEqual({ ok: true, value: ZERO });
  });

  test("members of other names are ignored, whatever they hold", () => {
    fc.assert(
      fc.property(fc.array(jsonTree, { maxLength: 4 }), spaces, (trees, gap) => {
        const others = trees.map((tree, index) => `"other${index}":${gap()}${write(tree, gap).text},`);
        expect(accepted(read(request, `{${others.join("")}"id":"x"}`))).toEqual({ ...ZERO, id: "x" });
      }),
    );
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty"])(
    "a member called %s is as any other unknown one",
    (key) => {
      const value = accepted(read(request, `{"${key}":{"id":"evil"},"id":"x"}`));
      expect(value).toEqual({ ...ZERO, id: "x" });
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect(value.size).toBe(0n);
    },
  );

  test("two requests never share what was read into them", () => {
    const first = accepted(read(request, '{"guest":{"disks":[{"image":"a"}]}}'));
    const second = accepted(read(request, "{}"));
    expect(first.guest?.disks).toEqual([{ image: "a", size: 0n }]);
    expect(second).toEqual(ZERO);
  });

  test("an absent guest and an empty one are told apart", () => {
    expect(accepted(read(request, "{}")).guest).toBeUndefined();
    expect(accepted(read(request, '{"guest":{}}')).guest).toEqual({
      id: "",
      disks: [],
      metadata: new Map(),
    });
  });

  test("null among the elements of an array is a zero element", () => {
    const text = '{"guest":{"disks":[null,{"size":1}]}}';
    expect(accepted(read(request, text)).guest?.disks).toEqual([
      { image: "", size: 0n },
      { image: "", size: 1n },
    ]);
  });
});

describe("unsigned 64-bit integers", () => {
  test("every one of them is read exactly", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (size) => {
        expect(accepted(read(request, `{"size":${size}}`)).size).toBe(size);
      }),
    );
  });

  test.each([
    ["0", 0n],
    ["9007199254740993", 9_007_199_254_740_993n],
    ["18446744073709551615", 18_446_744_073_709_551_615n],
  ])("%s is read", (token, size) => {
    expect(accepted(read(request, `{"size":${token}}`)).size).toBe(size);
  });

  test.each([
    "18446744073709551616",
    "99999999999999999999",
    "100000000000000000000",
    "-1",
    "-0",
    "1.0",
    "1e3",
    "0.5",
    '"5"',
    "true",
    "[]",
    "{}",
  ])("%s is refused, with the field, the type and what came", (token) => {
    expect(refusal(`{"size":${token}}`)).toBe(`Request.size: expected unsigned 64-bit integer, got ${token}`);
  });

  test("whole numbers beyond the range are always refused", () => {
    const outside = fc.oneof(
      fc.bigInt({ min: 2n ** 64n, max: 2n ** 200n }),
      fc.bigInt({ min: -(2n ** 200n), max: -1n }),
    );
    fc.assert(
      fc.property(outside, (size) => {
        expect(refusal(`{"size":${size}}`)).toContain("Request.size");
      }),
    );
  });
});

describe("failed", () => {
  test.each([
    ['{"id":1}', "Request.id: expected string, got 1"],
    ['{"id":["a"]}', 'Request.id: expected string, got ["a"]'],
    ['{"recursive":"true"}', 'Request.recursive: expected boolean, got "true"'],
    ['{"recursive":1}', "Request.recursive: expected boolean, got 1"],
    ['{"guest":[]}', "Request.guest: expected object, got []"],
    ['{"guest":{"disks":{}}}', "Request.guest.disks: expected array, got {}"],
    ['{"guest":{"disks":[{},7]}}', "Request.guest.disks[1]: expected object, got 7"],
    [
      '{"guest":{"disks":[{"size":1},{"size":-1}]}}',
      "Request.guest.disks[1].size: expected unsigned 64-bit integer, got -1",
    ],
    ["[]", "Request: expected object, got []"],
    ['"x"', 'Request: expected object, got "x"'],
  ])("%s is refused by path, expected type and token", (text, message) => {
    expect(refusal(text)).toBe(message);
  });

  test("a key in another case is named by the field it stands for", () => {
    expect(refusal('{"SIZE":"5"}')).toBe('Request.size: expected unsigned 64-bit integer, got "5"');
  });

  test("of a long token only the beginning is repeated", () => {
    const message = refusal(`{"size":"${"9".repeat(5_000)}"}`);
    expect(message).toBe(`Request.size: expected unsigned 64-bit integer, got "${"9".repeat(39)}…`);
  });

  test.each([
    '{"url":"http://agent:hunter2@x/"}',
    '["https:\\/\\/agent:hunter2@x/"]',
    '"ftp://agent:hunter2@x/?hunter2"',
  ])("nothing of a URL is repeated: %s", (token) => {
    const message = refusal(`{"size":${token}}`);
    expect(message).toMatch(/got .*(?:http|https|ftp):\/\/…$/);
    expect(message).not.toContain("hunter2");
  });

  test("a text that is no JSON is refused under the name of its struct", () => {
    expect(refusal('{"id":')).toMatch(/^Request: \S/);
  });
});

test("a request nested half a million levels deep is read without recursion", () => {
  const deep = `${'{"a":['.repeat(250_000)}${"]}".repeat(250_000)}`;
  expect(accepted(read(request, `{"x":${deep},"id":"y"}`)).id).toBe("y");
  expect(refusal(`{"guest":{"metadata":${deep}}}`)).toMatch(
    /^Request\.guest\.metadata\["a"\]: expected string, got \[\{/,
  );
  expect(refusal(`{"size":${deep}}`)).toMatch(/^Request\.size: expected unsigned 64-bit integer, got \{/);
});

describe("maps", () => {
  const map = (text: string) => [...accepted(read(guest, `{"metadata":${text}}`)).metadata];

  test("any names are kept, in their order, and the last duplicate counts", () => {
    expect(map('{"b":"1","__proto__":"2","a":"3","b":"4"}')).toEqual([
      ["b", "4"],
      ["__proto__", "2"],
      ["a", "3"],
    ]);
  });

  test("names differ by case, and null is the zero of its name", () => {
    expect(map('{"A":"1","a":null}')).toEqual([
      ["A", "1"],
      ["a", ""],
    ]);
    expect(map("null")).toEqual([]);
  });
});

describe("signed 64-bit integers", () => {
  const type = struct({ n: int64 });
  test.each(["0", "-0", "1", "-1", "9223372036854775807", "-9223372036854775808"])("%s is one", (token) => {
    expect(accepted(read(type, `{"n":${token}}`)).n).toBe(BigInt(token));
  });
  test.each(["9223372036854775808", "-9223372036854775809", "1.0", "1e3", '"1"', "true", "[]"])(
    "%s is none",
    (token) => {
      expect(read(type, `{"n":${token}}`)).toMatchObject({
        failure: { message: `Request.n: expected signed 64-bit integer, got ${token}` },
      });
    },
  );
});

describe("params", () => {
  function params(text: string, allowObject: boolean) {
    const params = readJson(text);
    if ("problem" in params) throw new Error(params.problem);
    return readParams(request, "Request", params.value, allowObject);
  }

  test("no params at all mean all fields zero", () => {
    expect(readParams(request, "Request", undefined, false)).toEqual({ ok: true, value: ZERO });
  });

  test.each(["[]", "[null]", "[{}]", "[ null , 5 ]"])("%s means all fields zero", (text) => {
    expect(params(text, false)).toEqual({ ok: true, value: ZERO });
    expect(params(text, true)).toEqual({ ok: true, value: ZERO });
  });

  test("elements after the first are ignored, whatever they are", () => {
    expect(params('[{"id":"a"},{"id":"b"},7,"x"]', false)).toEqual({ ok: true, value: { ...ZERO, id: "a" } });
  });

  test("the bare object is for 2.0 only", () => {
    expect(params('{"id":"a"}', true)).toEqual({ ok: true, value: { ...ZERO, id: "a" } });
    expect(params('{"id":"a"}', false)).toEqual({
      ok: false,
      failure: {
        code: "request.malformed",
        message: "params: expected an array of one object, got object",
      },
    });
  });

  test.each(["5", '"x"', "true"])("params %s are refused", (text) => {
    expect(params(text, true)).toMatchObject({
      ok: false,
      failure: {
        code: "request.malformed",
        message: expect.stringMatching(/^params: expected an object or/),
      },
    });
  });

  test("a first element that is no object is refused by its struct's name", () => {
    expect(params("[7]", false)).toMatchObject({ failure: { message: "Request: expected object, got 7" } });
  });
});
