import { expect, test } from "vitest";
import { parseGuardAnswer, parseGuardOrder } from "../../../../src/workers/streams/guard-order.js";

const ENDS = { localAddress: "::1", localPort: 80, remoteAddress: "::1", remotePort: 5_000 };

test.each([
  [{ kind: "reset", id: 7 }],
  [{ kind: "count", id: 7, ends: ENDS }],
  [{ kind: "end-with-us", group: 42 }],
  [{ kind: "ended", group: 42 }],
])("%j is an order", (order) => {
  expect(parseGuardOrder(order)).toEqual(order);
});

test.each([
  [undefined],
  [null],
  ["reset"],
  [{}],
  [{ kind: "reset" }],
  [{ kind: "reset", id: "7" }],
  [{ kind: "count", id: 7 }],
  [{ kind: "count", id: 7, ends: { ...ENDS, remotePort: "5000" } }],
  [{ kind: "count", ends: ENDS }],
  [{ kind: "ended" }],
  [{ kind: "ended", group: "1" }],
  [{ kind: "other", group: 1 }],
])("%j is none", (message) => {
  expect(parseGuardOrder(message)).toBeUndefined();
});

test.each([true, false, 5, null])("%j is an answer", (value) => {
  expect(parseGuardAnswer({ id: 7, value })).toEqual({ id: 7, value });
});

test.each([[undefined], [7], [{ id: 7 }], [{ value: true }], [{ id: "7", value: true }]])(
  "%j is no answer",
  (message) => expect(parseGuardAnswer(message)).toBeUndefined(),
);
