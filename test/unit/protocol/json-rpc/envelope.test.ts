import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  hasVersion2,
  type InvalidRequest,
  type Request,
  readBatchElement,
  readRequest,
} from "../../../../src/protocol/json-rpc/envelope.js";
import { type JsonValue, readJson, tokenOf } from "../../../../src/protocol/json-rpc/json.js";
import { encodeReply10 } from "../../../../src/protocol/json-rpc/replies.js";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import { jsonTree, noSpace, scalarToken, spaces, write } from "../../../support/json-text.js";

const goEscaped = (token: string) =>
  token.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

function parsed(text: string): JsonValue {
  const read = readJson(text);
  if ("problem" in read) throw new Error(`${read.problem}: ${text}`);
  return read.value;
}

function shown(request: Request | InvalidRequest) {
  if ("problem" in request) return request;
  const { method, params, id } = request;
  return { method, params: params && tokenOf(params), id };
}

/** Reads as the path of 1.0 does. */
function request10(text: string) {
  const request = shown(readRequest(parsed(text), "1.0"));
  return "problem" in request ? { problem: request.problem } : request;
}

/** Reads as the path of 2.0 does, and as an element of a batch. Both must agree. */
function request20(text: string) {
  const request = shown(readBatchElement(parsed(text)));
  const alone = readRequest(parsed(text), "2.0");
  if (alone.version === "2.0") expect(shown(alone)).toEqual(request);
  return "problem" in request ? { invalid: request.problem, id: request.id } : request;
}

describe("1.0 requests", () => {
  test.each([
    [
      '{"method":"ImageStore.GetImage","params":[{}],"id":0}',
      { method: "ImageStore.GetImage", params: "[{}]", id: "0" },
    ],
    ['{"METHOD":"m","Params":[],"ID":"x"}', { method: "m", params: "[]", id: '"x"' }],
    [
      '{"method":"a","Method":"b","id":1,"ID":2,"params":[1],"PARAMS":[2]}',
      { method: "b", params: "[2]", id: "2" },
    ],
    ['{"method":"a","method":null}', { method: "a", params: undefined, id: undefined }],
    ['{"method":"m","params":null,"id":null}', { method: "m", params: undefined, id: undefined }],
    ['{"method":"m","id":1,"id":null}', { method: "m", params: undefined, id: undefined }],
    ["{}", { method: "", params: undefined, id: undefined }],
    [
      '{ "id" : { "a" : [ 1.0 , "x y" ] } , "method" : "m" }',
      { method: "m", params: undefined, id: '{"a":[1.0,"x y"]}' },
    ],
    ['{"method":"\\u006d","id":false}', { method: "m", params: undefined, id: "false" }],
    ['{"method":"m","id":"<&>"}', { method: "m", params: undefined, id: '"\\u003c\\u0026\\u003e"' }],
  ])("%s is read by Go's rules", (text, expected) => {
    expect(request10(text)).toEqual(expected);
  });

  test.each([
    ["5", "number"],
    ["[]", "array"],
    ["{}", "object"],
    ["true", "boolean"],
  ])("a method that is %s is a problem and says so", (token, kind) => {
    expect(request10(`{"method":${token}}`)).toEqual({
      problem: `rpc: method: expected string, got ${kind}`,
    });
  });

  test("any id but null comes back as it was written", () => {
    fc.assert(
      fc.property(jsonTree, spaces, (tree, gap) => {
        const written = write(tree, gap).text;
        const text = `{${gap()}"id"${gap()}:${gap()}${written}${gap()},"method":"m"}`;
        const id = written === "null" ? undefined : goEscaped(write(tree, noSpace).text);
        expect(request10(text)).toEqual({ method: "m", params: undefined, id });
      }),
    );
  });

  test("a 63-bit id keeps its last digit", () => {
    const id = "9223372036854775807";
    expect(request10(`{"method":"m","id":${id}}`)).toMatchObject({ id });
    expect(encodeReply10(id, succeed("{}"))).toBe(`{"result":{},"error":null,"id":${id}}\n`);
  });
});

describe("which version a request speaks", () => {
  test.each([
    ['{"jsonrpc":"2.0","method":"m"}', true],
    ['{ "method":"m", "jsonrpc" : "2\\u002e0" }', true],
    ['{"jsonrpc":"1.0"}', false],
    ['{"jsonrpc":2.0}', false],
    ['{"JSONRPC":"2.0"}', false],
    ['{"x":{"jsonrpc":"2.0"}}', false],
    ["{}", false],
  ])("%s claims 2.0: %s", (text, claims) => {
    expect(readRequest(parsed(text), "1.0").version).toBe(claims ? "2.0" : "1.0");
    expect(hasVersion2(parsed(`[5,${text}]`))).toBe(claims);
  });

  test.each([
    ['{"method":"m"}', "1.0"],
    ['{"METHOD":"m","id":1}', "1.0"],
    ['{"method":"m","jsonrpc":"1.0"}', "2.0"],
    ['{"method":"m","jsonrpc":null}', "2.0"],
    ['{"method":1}', "2.0"],
    ['{"method":""}', "2.0"],
    ["{}", "2.0"],
    ["5", "2.0"],
    ['{"jsonrpc":"2.0","method":"m"}', "2.0"],
  ])("on the path of 2.0 %s is read as %s", (text, version) => {
    expect(readRequest(parsed(text), "2.0").version).toBe(version);
  });

  test("of duplicates of jsonrpc one claims 2.0, but the last one must say it too", () => {
    const text = '{"jsonrpc":"2.0","jsonrpc":"1.0","method":"m","id":1}';
    expect(readRequest(parsed(text), "1.0")).toEqual({
      version: "2.0",
      problem: 'jsonrpc: expected "2.0"',
      id: "1",
    });
  });
});

describe("2.0 requests", () => {
  test.each([
    ['{"jsonrpc":"2.0","method":"m","id":1}', { method: "m", params: undefined, id: "1" }],
    ['{"jsonrpc":"2.0","method":"m","id":null}', { method: "m", params: undefined, id: "null" }],
    ['{"jsonrpc":"2.0","method":"m"}', { method: "m", params: undefined, id: undefined }],
    [
      '{"jsonrpc":"2.0","method":"m","params":{"a":1},"id":"x"}',
      { method: "m", params: '{"a":1}', id: '"x"' },
    ],
    ['{"jsonrpc":"2.0","method":"m","params":[1],"id":1.50}', { method: "m", params: "[1]", id: "1.50" }],
    ['{"jsonrpc":"2.0","method":"m","METHOD":"n","ID":1}', { method: "m", params: undefined, id: undefined }],
  ])("%s is read", (text, expected) => {
    expect(request20(text)).toEqual(expected);
  });

  test.each([
    ["5", "a request is an object", "null"],
    ["[]", "a request is an object", "null"],
    ['{"method":"m","id":7}', 'jsonrpc: expected "2.0"', "7"],
    ['{"jsonrpc":"2.1","method":"m","id":7}', 'jsonrpc: expected "2.0"', "7"],
    ['{"jsonrpc":2.0,"method":"m","id":7}', 'jsonrpc: expected "2.0"', "7"],
    ['{"jsonrpc":"2.0","id":"a"}', "method: expected string", '"a"'],
    ['{"jsonrpc":"2.0","method":1,"id":"a"}', "method: expected string", '"a"'],
    [
      '{"jsonrpc":"2.0","method":"m","params":"x","id":1}',
      "params: expected object or array, got string",
      "1",
    ],
    [
      '{"jsonrpc":"2.0","method":"m","params":null,"id":1}',
      "params: expected object or array, got null",
      "1",
    ],
    ['{"jsonrpc":"2.0","method":"m","id":{}}', "id: expected string, number or null, got object", "null"],
    ['{"jsonrpc":"2.0","method":"m","id":true}', "id: expected string, number or null, got boolean", "null"],
  ])("%s is invalid: %s", (text, invalid, id) => {
    expect(request20(text)).toEqual({ invalid, id });
  });

  test("any scalar id that 2.0 allows comes back as it was written", () => {
    const allowed = scalarToken.filter((token) => token !== "true" && token !== "false");
    fc.assert(
      fc.property(allowed, spaces, (token, gap) => {
        const text = `{"jsonrpc":"2.0","method":"m","id":${gap()}${token}${gap()}}`;
        expect(request20(text)).toEqual({ method: "m", params: undefined, id: goEscaped(token) });
      }),
    );
  });
});
