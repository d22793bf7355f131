import { expect, test } from "vitest";
import { eventLine } from "../../../../../src/main/commands/client/watch-events.js";
import { plainly } from "../../../../../src/main/commands/terminal/paint.js";

test("an event is a line with who did it, or why it failed, and does not steer the terminal", () => {
  const event = {
    ...{ at: "2026-11-29T12:32:27.426Z", topic: "volume", action: "created", id: "tank/v\x1b[2J" },
    ...{ caller: "1c2c", origin: "outside", failure: { code: "internal", message: "a bug" } },
  };
  expect(eventLine(event, plainly)).toMatch(
    /^\d\d:\d\d:27 {2}volume {4}created {6}tank\/v\?\[2J {2}by 1c2c, by no call, a bug$/,
  );
});
