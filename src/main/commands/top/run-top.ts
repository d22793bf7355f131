import { setTimeout as sleep } from "node:timers/promises";
import { CallFailure, EXIT } from "../client/call-failure.js";
import { type DaemonAddress, nameOf } from "../client/daemon-address.js";
import { openLiveScreen } from "../terminal/live-screen.js";
import { paintFor } from "../terminal/paint.js";
import { type FrameOf, frameLines } from "./node-frame.js";
import { lookAtNode, type NodeLook } from "./node-look.js";
import { type NodeView, type SortKey, viewOf } from "./node-view.js";

const EVERY_MS = 1_000;
/** What may be over at the next look. */
const PASSING: readonly number[] = [EXIT.unreachable, EXIT.tryAgain];
const KEYS: Readonly<Record<string, SortKey>> = { c: "calls", m: "mean", p: "p99", f: "failed", n: "name" };

/** What happens within a second. Rejects with a CallFailure. */
async function viewOnce(address: DaemonAddress): Promise<NodeView> {
  const before = await lookAtNode(address);
  await sleep(EVERY_MS);
  return viewOf(before, await lookAtNode(address));
}

/** Prints one frame, or the same as JSON. Rejects with a CallFailure. */
export async function printTop(address: DaemonAddress, sort: SortKey, isJson: boolean): Promise<void> {
  const view = await viewOnce(address);
  const at = new Date();
  if (isJson) {
    process.stdout.write(`${JSON.stringify({ daemon: nameOf(address), at, ...view })}\n`);
    return;
  }
  const { isTTY, columns } = process.stdout;
  const paint = paintFor(process.stdout, process.env);
  const style = { width: isTTY ? columns : undefined, height: undefined, paint };
  const lines = frameLines({ daemon: nameOf(address), at, sort, view, problem: undefined }, style);
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
}

/**
 * Shows the daemon on the whole terminal, until a key ends it. One that does not answer is asked again. Rejects
 * with a CallFailure where asking again would not help; the terminal is then as it was.
 */
export async function watchTop(address: DaemonAddress, firstSort: SortKey): Promise<never> {
  const paint = paintFor(process.stdout, process.env);
  const daemon = nameOf(address);
  let shown: FrameOf = { at: new Date(), sort: firstSort, daemon, view: undefined, problem: undefined };
  const draw = () => {
    const { columns: width, rows: height } = screen.size;
    screen.draw(frameLines(shown, { width, height, paint }));
  };
  const onKey = (key: string) => {
    if (key === "q") process.exit(0);
    const sort = KEYS[key];
    if (sort === undefined) return;
    shown = { ...shown, sort };
    draw();
  };
  const screen = openLiveScreen({ onKey, onResize: draw });
  try {
    /** The one before, of a daemon that has answered since. */
    let last: NodeLook | undefined;
    for (;;) {
      const found = await look(address);
      const isThere = typeof found !== "string";
      const now = isThere ? { view: viewOf(last, found), problem: undefined } : { problem: found };
      shown = { ...shown, ...now, at: new Date() };
      last = isThere ? found : undefined;
      draw();
      await sleep(EVERY_MS);
    }
  } finally {
    screen.close();
  }
}

/** A look, or why there is none now. Rejects with a CallFailure. */
async function look(address: DaemonAddress): Promise<NodeLook | string> {
  try {
    return await lookAtNode(address);
  } catch (error) {
    if (error instanceof CallFailure && PASSING.includes(error.exitStatus)) return error.message;
    throw error;
  }
}
