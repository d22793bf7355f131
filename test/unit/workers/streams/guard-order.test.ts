import { expect, test } from "vitest";
import {
  parseGuardAnswer,
  parseGuardedEnd,
  parseGuardOrder,
} from "../../../../src/workers/streams/guard-order.js";

const ENDS = { localAddress: "::1", localPort: 80, remoteAddress: "::1", remotePort: 5_000 };

test.each([
  [{ kind: "reset", id: 7 }],
  [{ kind: "count", id: 7, ends: ENDS }],
  [{ kind: "start", id: 7, argv: ["zfs", "send", "tank/v@s"] }],
  [{ kind: "kill", id: 7 }],
  [{ kind: "ping", id: 7 }],
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
  [{ kind: "start", id: 7 }],
  [{ kind: "start", id: 7, argv: "zfs send" }],
  [{ kind: "start", id: 7, argv: ["zfs", 1] }],
  [{ kind: "start", argv: ["zfs"] }],
  [{ kind: "kill" }],
  [{ kind: "ping", id: "7" }],
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

const END = { id: 7, exit: { kind: "exited", code: 0 }, stderr: "", written: 5 };

test.each([
  [END],
  [{ ...END, written: null }],
  [{ ...END, exit: { kind: "signalled", signal: "SIGTERM" } }],
  [{ ...END, exit: { kind: "not_started", errno: "ENOENT" } }],
])("%j is an end", (end) => {
  expect(parseGuardedEnd(end)).toEqual(end);
});

test.each([
  [undefined],
  [{ id: 7, value: true }],
  [{ ...END, id: "7" }],
  [{ ...END, stderr: undefined }],
  [{ ...END, written: undefined }],
  [{ ...END, exit: undefined }],
  [{ ...END, exit: { kind: "exited", code: "0" } }],
  [{ ...END, exit: { kind: "signalled" } }],
  [{ ...END, exit: { kind: "lost" } }],
])("%j is no end", (message) => expect(parseGuardedEnd(message)).toBeUndefined());
