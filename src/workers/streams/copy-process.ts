/**
 * The copy process: joins a send and a receive by a pair of sockets, whose bytes only the kernel moves, and
 * tells how far they are and how they end. Both are its children, in its process group. When its stdin ends it
 * ends them: so they outlive neither a daemon that was killed nor the wish for the copy.
 */
import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createChildMemory, createChildTable } from "../../protocol/threads/child-table.js";
import { type CommandProcess, startProcess } from "../processes/child-process.js";
import { COPY_PARENT } from "../processes/copy-parent.js";
import { readWrittenNow } from "./bulk-watch.js";
import type { CopyReport, CopyRequest } from "./copy-report.js";

const PROGRESS_MS = 250;
/** How long the commands may take to end by SIGTERM. */
const TERM_MS = 2_000;

/** Two connected sockets that nobody reads here. They meet in a folder that only our user can enter. */
async function openPair(parent: string): Promise<readonly [Socket, Socket]> {
  const folder = await mkdtemp(join(parent, ".copy-"));
  const handle = await open(folder);
  const server = createServer({ pauseOnConnect: true });
  try {
    // The address of a socket has room for 108 bytes (unix(7)): a path below `parent` may not fit.
    const path = `/proc/self/fd/${handle.fd}/p`;
    server.listen(path);
    await once(server, "listening");
    const one = connect({ path });
    one.pause();
    const [[other]] = await Promise.all([once(server, "connection"), once(one, "connect")]);
    return [one, other];
  } finally {
    server.close();
    await handle.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const tell = (report: CopyReport) => void process.stdout.write(`${JSON.stringify(report)}\n`);

/** Ends all of the group but this process: by SIGTERM, and what is left later. */
function endGroup(): void {
  process.on("SIGTERM", () => {});
  process.kill(0, "SIGTERM");
  setTimeout(() => process.kill(0, "SIGKILL"), TERM_MS).unref();
}

/** Tells how much the send has written, as the kernel counts it. Call the returned function at its end. */
function tellProgress({ pid }: CommandProcess): () => void {
  let written = 0;
  const timer = setInterval(() => {
    const now = pid === undefined ? undefined : readWrittenNow(pid);
    if (now === undefined || now === written) return;
    written = now;
    tell({ bytes: written });
  }, PROGRESS_MS);
  return () => clearInterval(timer);
}

async function run({ send, receive, folder }: CopyRequest): Promise<void> {
  // Nobody reads this table.
  const children = createChildTable(createChildMemory());
  const pair = await openPair(folder);
  const [writing, reading] = pair;
  const env = { [COPY_PARENT]: String(process.pid) };
  const receiver = startProcess(receive, { stdin: reading, stdout: false, env }, children);
  const sender = startProcess(send, { stdin: false, stdout: writing, env }, children);
  for (const socket of pair) socket.destroy();
  process.stdin.on("error", () => {}).on("close", endGroup);
  process.stdin.resume();
  // Whoever reads it has gone: its stdin ends too.
  process.stdout.on("error", () => {});
  const endProgress = tellProgress(sender);
  /** The commands, in the order of their ends. */
  const ended: ("sent" | "received")[] = [];
  const endOf = async (which: "sent" | "received", command: CommandProcess) => {
    const exit = await command.exited;
    ended.push(which);
    return { exit, stderr: command.stderrText() };
  };
  const [sent, received] = await Promise.all([endOf("sent", sender), endOf("received", receiver)]);
  endProgress();
  process.stdin.removeListener("close", endGroup);
  process.stdin.destroy();
  tell({ sent, received, first: ended[0] ?? "received" });
}

await run(JSON.parse(process.argv[2] ?? ""));
