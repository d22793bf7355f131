import { expect, test } from "vitest";
import { parseGuardOrder } from "../../../../src/workers/streams/guard-order.js";

test.each([[{ kind: "reset", id: 7 }], [{ kind: "end-with-us", group: 42 }], [{ kind: "ended", group: 42 }]])(
  "%j is an order",
  (order) => {
    expect(parseGuardOrder(order)).toEqual(order);
  },
);

test.each([
  [undefined],
  [null],
  ["reset"],
  [{}],
  [{ kind: "reset" }],
  [{ kind: "reset", id: "7" }],
  [{ kind: "ended" }],
  [{ kind: "ended", group: "1" }],
  [{ kind: "other", group: 1 }],
])("%j is none", (message) => {
  expect(parseGuardOrder(message)).toBeUndefined();
});
