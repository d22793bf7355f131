import { Readable } from "node:stream";

/** Resolves with whether there is more to read. Rejects as the stream breaks, or with the signal's reason. */
function moreOf(body: Readable, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const listeners: readonly [string, (error?: unknown) => void][] = [
      ["readable", () => settle(() => resolve(true))],
      ["end", () => settle(() => resolve(false))],
      ["error", (error) => settle(() => reject(error))],
    ];
    const onAbort = () => settle(() => reject(signal.reason));
    function settle(how: () => void): void {
      for (const [event, listener] of listeners) body.off(event, listener);
      signal.removeEventListener("abort", onAbort);
      how();
    }
    for (const [event, listener] of listeners) body.on(event, listener);
    signal.addEventListener("abort", onAbort);
    // What came before anybody listened does not come again.
    if (signal.aborted) onAbort();
    else if (body.errored) settle(() => reject(body.errored));
    else if (body.readableEnded) settle(() => resolve(false));
  });
}

/**
 * Reads ahead until so many bytes are there, or all if there are fewer.
 * @returns those bytes, or more, and the whole stream again; `body` itself must not be used any more.
 * Rejects as the stream breaks, or with the signal's reason.
 */
export async function firstBytes(
  body: Readable,
  count: number,
  signal: AbortSignal,
): Promise<{ readonly head: Buffer; readonly whole: Readable }> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < count) {
    if (!(await moreOf(body, signal))) return { head, whole: Readable.from(head.length > 0 ? [head] : []) };
    for (let chunk = body.read(); chunk !== null; chunk = body.read()) head = Buffer.concat([head, chunk]);
  }
  body.unshift(head);
  return { head, whole: body };
}
