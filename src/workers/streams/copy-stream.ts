import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { startProcess } from "../processes/child-process.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import type { CopyReport, CopyRequest } from "./copy-report.js";

interface CopyOptions {
  readonly order: FetchOrder & { readonly sender: NonNullable<FetchOrder["sender"]> };
  readonly children: ChildTable;
  /** A folder that the daemon may write to. */
  readonly folder: string;
  /** Ends the copy, which then fails with service.interrupted. */
  readonly signal: AbortSignal;
  onStart(pid: number | undefined): void;
  /** Called when bytes have moved. */
  onMoved(): void;
  onProgress(receivedBytes: number, streamBytes: number): void;
  onLength(totalBytes: number): void;
}

const SCRIPT = fileURLToPath(new URL("./copy-process.js", import.meta.url));

/** How long the copy process may take to end what it has started. */
const END_MS = 5_000;

const INTERRUPTED = fail("service.interrupted", "the copy was given up");

/** Runs a send and a receive that are joined in a process of their own. Resolves when all three have ended. */
export async function copyStream(options: CopyOptions): Promise<Outcome<FetchReport>> {
  const { order, children, folder, signal, onMoved, onProgress } = options;
  const request: CopyRequest = { send: order.sender.command, receive: order.command, folder };
  const argv = [process.execPath, SCRIPT, JSON.stringify(request)];
  const startedAt = performance.now();
  if (order.sender.totalBytes !== undefined) options.onLength(order.sender.totalBytes);
  const command = startProcess(argv, { stdin: true, stdout: true, isGroup: true }, children);
  options.onStart(command.pid);
  command.stdin?.on("error", () => {});
  let end: Exclude<CopyReport, { bytes: number }> | undefined;
  let moved = 0;
  if (command.stdout) {
    createInterface({ input: command.stdout }).on("line", (line) => {
      const report: CopyReport = JSON.parse(line);
      if (!("bytes" in report)) end = report;
      else {
        moved = report.bytes;
        onMoved();
        onProgress(moved, moved);
      }
    });
  }
  let timer: NodeJS.Timeout | undefined;
  const giveUp = () => {
    command.stdin?.end();
    timer = setTimeout(() => command.kill(), END_MS);
  };
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  const exit = await command.exited;
  clearTimeout(timer);
  signal.removeEventListener("abort", giveUp);
  if (signal.aborted) return INTERRUPTED;
  const ms = performance.now() - startedAt;
  if (!end) return failureOf({ argv, stdout: "", stderr: command.stderrText(), exit, ms });
  const sent = { argv: request.send, stdout: "", ms, ...end.sent };
  const received = { argv: request.receive, stdout: "", ms, ...end.received };
  // Where one fails the other does too: that which has ended first says why.
  const [first, second] = end.first === "sent" ? [sent, received] : [received, sent];
  if (!succeeded(first)) return failureOf(first);
  if (!succeeded(second)) return failureOf(second);
  return succeed({ receivedBytes: moved, streamBytes: moved });
}
