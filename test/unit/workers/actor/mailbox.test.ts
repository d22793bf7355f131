import { describe, expect, test } from "vitest";
import { failed, succeed } from "../../../../src/protocol/storage/failures.js";
import type { Operation, OperationHandlers } from "../../../../src/protocol/storage/operations.js";
import { createMailbox } from "../../../../src/workers/actor/mailbox.js";
import { noBoard } from "../../../support/memory-actor.js";

const operation: Operation = { op: "ListVolumes" };

/** Handlers whose ListVolumes stays pending until one of `answers` is called. */
function heldHandlers() {
  const answers: (() => void)[] = [];
  const handlers = {
    ListVolumes: () => new Promise((resolve) => answers.push(() => resolve(succeed([])))),
    GetVolume: () => Promise.reject(new Error("a bug")),
  } as unknown as OperationHandlers;
  return { handlers, answers };
}

describe("a mailbox", () => {
  test("runs nothing before it is open and after it is closed", async () => {
    const mailbox = createMailbox(noBoard());
    const { handlers, answers } = heldHandlers();
    expect(await mailbox.run(operation)).toBe(failed.interrupted);
    mailbox.open(() => handlers);
    const running = mailbox.run(operation);
    mailbox.close();
    expect(await mailbox.run(operation)).toBe(failed.interrupted);
    expect(mailbox.pending).toBe(1);
    answers[0]?.();
    expect(await running).toEqual(succeed([]));
    expect(mailbox.pending).toBe(0);
  });

  test("is drained at once when nothing is under way", async () => {
    expect(await createMailbox(noBoard()).drain(60_000)).toBe(true);
  });

  test("is drained when its last operation has answered, for all that wait", async () => {
    const mailbox = createMailbox(noBoard());
    const { handlers, answers } = heldHandlers();
    mailbox.open(() => handlers);
    const running = [mailbox.run(operation), mailbox.run(operation)];
    const drained = [mailbox.drain(60_000), mailbox.drain(60_000)];
    answers[1]?.();
    await running[1];
    expect(mailbox.pending).toBe(1);
    answers[0]?.();
    expect(await Promise.all(drained)).toEqual([true, true]);
  });

  test("that is not drained in time says so, and goes on", async () => {
    const mailbox = createMailbox(noBoard());
    const { handlers, answers } = heldHandlers();
    mailbox.open(() => handlers);
    const running = mailbox.run(operation);
    expect(await mailbox.drain(1)).toBe(false);
    answers[0]?.();
    expect(await running).toEqual(succeed([]));
  });

  test("counts an operation that throws as ended", async () => {
    const mailbox = createMailbox(noBoard());
    mailbox.open(() => heldHandlers().handlers);
    await expect(mailbox.run({ op: "GetVolume" } as Operation)).rejects.toThrow("a bug");
    expect(await mailbox.drain(60_000)).toBe(true);
  });
});
