import { expect, test } from "vitest";
import { assembleModule } from "../../../../src/protocol/zfs-stream/wasm-text.js";

/** The bytes, by hand. Source: "Binary Format" of the WebAssembly specification. */
test("a function becomes the bytes of a module", () => {
  const module = assembleModule(
    {
      name: "f",
      params: { at: "i32" },
      locals: { sum: "i64" },
      body: "local.get at\n i64.const -96 i64.extend_i32_u local.set sum block br_if 0 end v128.load 200",
    },
    2,
  );
  const hex = [
    "0061736d 01000000",
    "01 05 01 60 01 7f 00",
    "03 02 01 00",
    "05 03 01 00 02",
    "07 0e 02 06 6d656d6f7279 02 00 01 66 00 00",
    "0a 18 01 16 01 01 7e 2000 42a07f ad 2101 0240 0d00 0b fd00 00 c801 0b",
  ];
  expect(Buffer.from(module).toString("hex")).toBe(hex.join("").replaceAll(" ", ""));
});

test.each([
  ["local.get nobody", "no local nobody"],
  ["i64.sqrt", "no instruction i64.sqrt"],
  ["local.get", "no local "],
])("%j is refused", (body, reason) => {
  expect(() => assembleModule({ name: "f", params: {}, locals: {}, body }, 1)).toThrow(reason);
});
