import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  claimsVersion2,
  encodeReply10,
  encodeReply20,
  encodeRpcError20,
  readRequest10,
  readRequest20,
} from "../../../../src/protocol/json-rpc/envelope.js";
import { wholeValue } from "../../../../src/protocol/json-rpc/json.js";
import { FAILURES, type FailureCode, fail, succeed } from "../../../../src/protocol/storage/failures.js";
import { jsonTree, noSpace, scalarToken, spaces, write } from "../../../support/json-text.js";

const goEscaped = (token: string) =>
  token.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

function request10(text: string) {
  const read = readRequest10(text, 0);
  if ("problem" in read) return read;
  const { method, params, id } = read.request;
  return { method, params: params && text.slice(params.start, params.end), id };
}

function request20(text: string) {
  const read = readRequest20(text, wholeValue(text));
  if ("invalid" in read) return read;
  const { method, params, id } = read.request;
  return { method, params: params && text.slice(params.start, params.end), id };
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
    expect(claimsVersion2(text, wholeValue(text).start)).toBe(claims);
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

describe("replies, byte for byte", () => {
  test("a 1.0 success", () => {
    expect(encodeReply10("1", succeed('{"images":null}'))).toBe(
      '{"result":{"images":null},"error":null,"id":1}\n',
    );
  });

  test("a 1.0 error is a string, escaped as Go does", () => {
    expect(encodeReply10('"a"', fail("request.missing_field", "need an id"))).toBe(
      '{"result":null,"error":"need an id","id":"a"}\n',
    );
    expect(encodeReply10("1", fail("command.failed", 'a <b> & "c"', "hidden"))).toBe(
      '{"result":null,"error":"a \\u003cb\\u003e \\u0026 \\"c\\"","id":1}\n',
    );
  });

  test("a 2.0 success has no newline, so that it can stand in a batch", () => {
    expect(encodeReply20("1", succeed("{}"))).toBe('{"jsonrpc":"2.0","result":{},"id":1}');
  });

  test("a 2.0 error carries reason, errno, retryable and detail", () => {
    expect(encodeReply20("2", fail("dataset.busy", "busy", "held by <x>"))).toBe(
      '{"jsonrpc":"2.0","error":{"code":1004,"message":"busy","data":{"reason":"dataset.busy","errno":"EBUSY","retryable":true,"detail":"held by \\u003cx\\u003e"}},"id":2}',
    );
  });

  test("the stack of an internal error is not shown to clients", () => {
    const reply = encodeReply20("null", fail("internal", "internal error", "Error: secret\n at x"));
    expect(reply).toBe(
      '{"jsonrpc":"2.0","error":{"code":-32603,"message":"internal error","data":{"reason":"internal","errno":"EIO","retryable":false}},"id":null}',
    );
  });

  test.each([
    ["parse", -32700, "Parse error", "rpc.parse_error"],
    ["invalid", -32600, "Invalid Request", "rpc.invalid_request"],
    ["noMethod", -32601, "Method not found", "rpc.method_not_found"],
  ] as const)("the %s error of the specification has its code", (kind, code, message, reason) => {
    expect(encodeRpcError20("null", kind, 'why "x"')).toBe(
      `{"jsonrpc":"2.0","error":{"code":${code},"message":"${message}","data":{"reason":"${reason}","retryable":false,"detail":"why \\"x\\""}},"id":null}`,
    );
  });

  test("every failure of the table makes a reply that parses to its row", () => {
    for (const code of Object.keys(FAILURES) as FailureCode[]) {
      const { rpc, errno, retryable } = FAILURES[code];
      expect(JSON.parse(encodeReply20("1", fail(code, "m")))).toEqual({
        jsonrpc: "2.0",
        error: { code: rpc, message: "m", data: { reason: code, errno, retryable } },
        id: 1,
      });
    }
  });

  test("our own codes lie outside the range that JSON-RPC reserves", () => {
    const own = Object.values(FAILURES)
      .map(({ rpc }): number => rpc)
      .filter((rpc) => rpc !== -32602 && rpc !== -32603);
    expect(own.length).toBeGreaterThan(0);
    expect(own.filter((rpc) => rpc >= -32768 && rpc <= -32000)).toEqual([]);
    expect(new Set(own).size).toBe(own.length);
  });
});
