import { describe, expect, test } from "vitest";
import { encodeReply10, encodeReply20, encodeRpcError20 } from "../../../../src/protocol/json-rpc/replies.js";
import { FAILURES, type FailureCode, fail, succeed } from "../../../../src/protocol/storage/failures.js";

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
      expect(JSON.parse(String(encodeReply20("1", fail(code, "m"))))).toEqual({
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
