import { expect, test } from "vitest";
import { transferKindOf } from "../../../../src/main/downloads/transfer-kind.js";

test.each([
  ["image", {}],
  ["copy", { sender: { command: ["zfs", "send"], totalBytes: 1 }, isOnce: true }],
  ["receive", { body: 0 }],
  ["pull", { isOnce: true }],
] as const)("what comes into a pool: %s", (kind, order) => {
  expect(transferKindOf(order)).toBe(kind);
});
