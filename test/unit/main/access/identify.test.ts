import { describe, expect, test, vi } from "vitest";
import { createAttemptDelays } from "../../../../src/main/access/attempt-delays.js";
import { identifyByToken } from "../../../../src/main/access/identify.js";
import type { WholeReply } from "../../../../src/protocol/http/transport.js";
import { downloadRequest } from "../../../support/download-request.js";
import { silentReply } from "../../../support/silent-reply.js";

const CALLER = { id: "1", grant: { role: "read" } } as const;
const tokens = {
  find: (token: string) =>
    token === "good" ? { caller: CALLER } : ({ problem: token === "old" ? "expired" : "unknown" } as const),
};

function ask(authorization: string, identify = identifyByToken(tokens, () => {})) {
  const sent: unknown[] = [];
  const reply: WholeReply = {
    ...silentReply,
    send: (status, headers, body) =>
      sent.push([status, new Map(headers).get("WWW-Authenticate"), String(body)]),
  };
  const header = (name: string) => (name === "authorization" ? authorization : "");
  return { caller: identify({ ...downloadRequest, header }, reply), sent };
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

describe("a caller", () => {
  test.each(["Bearer good", "bearer  good", " Bearer good ", basic("agent:good"), basic(":good")])(
    "is known by %s",
    (header) => expect(ask(header)).toEqual({ caller: CALLER, sent: [] }),
  );

  test.each([
    ["", "a token is needed"],
    ["Bearer", "Authorization must be"],
    ["Bearer good, Bearer good", "Authorization must be"],
    ["Digest good", "Authorization must be"],
    ["good", "Authorization must be"],
    [basic("good"), "Authorization must be"],
    [`Bearer ${"x".repeat(100_000)}`, "Authorization must be"],
    ["Bearer Good", "the token is not known"],
    [basic("good:"), "the token is not known"],
    [basic("good:bad"), "the token is not known"],
    ["Bearer old", "the token has expired"],
  ])("is refused for %.30s", (header, problem) => {
    const { caller, sent } = ask(header);
    expect(caller).toBeUndefined();
    expect(sent).toEqual([[401, 'Bearer realm="imagestore"', expect.stringContaining(problem)]]);
  });

  test("who tries many tokens waits longer for each answer, and one without a token does not", () => {
    vi.useFakeTimers();
    try {
      const problems: string[] = [];
      const identify = identifyByToken(tokens, (problem) => problems.push(problem));
      const atOnce = Array.from({ length: 10 }, () => ask("Bearer bad", identify).sent.length);
      expect(atOnce).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
      expect(ask("", identify).sent.length).toBe(1);
      const last = ask("Bearer bad", identify);
      vi.advanceTimersByTime(1_500);
      expect(last.sent).toEqual([]);
      vi.advanceTimersByTime(600);
      expect(last.sent.length).toBe(1);
      expect(ask("Bearer good", identify).caller).toBe(CALLER);
      expect(problems.length).toBe(12);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the wait of who tries tokens", () => {
  test("ends a minute after the last one, and is each address's own", () => {
    let now = 0;
    const delays = createAttemptDelays(() => now);
    const waits = () => Array.from({ length: 8 }, () => delays.failed("a"));
    expect(waits()).toEqual([0, 0, 0, 0, 0, 50, 100, 200]);
    expect(delays.failed("b")).toBe(0);
    now += 60_000;
    expect(waits()).toEqual([0, 0, 0, 0, 0, 50, 100, 200]);
  });

  test("is kept of the last thousands of addresses only", () => {
    const delays = createAttemptDelays(() => 0);
    for (let count = 0; count < 6; count++) delays.failed("first");
    for (let peer = 0; peer < 5_000; peer++) delays.failed(String(peer));
    expect(delays.failed("first")).toBe(0);
  });
});
