/**
 * The runner: a lean process that runs the short commands of one actor, and calls libzfs_core for it.
 * A spawn copies the page tables of its parent, so its cost must not grow with the daemon's memory; and a
 * call that hangs or crashes takes this process along, and no other. Requests arrive on stdin and replies
 * leave on stdout, both as msgpackr streams. When stdin ends, the actor has closed it or died, and the runner
 * ends itself and its commands.
 */
import { PackrStream, UnpackrStream } from "msgpackr";
import { createChildMemory, createChildTable } from "../protocol/threads/child-table.js";
import { openTrace, traced } from "../protocol/threads/trace-points.js";
import type { LibraryCall, LibraryExit } from "./libzfs/library-call.js";
import { type LibzfsCore, openLibzfsCore } from "./libzfs/libzfs-core.js";
import { followCommand } from "./processes/follow-command.js";
import { runCommand } from "./processes/run-command.js";
import type { RunningCommand, RunReply, RunRequest } from "./processes/runner-messages.js";

// Nobody reads this table: main ends the runner's whole group.
const children = createChildTable(createChildMemory());
const commands = traced(openTrace(process.env, "runner"), "commands", { run: runCommand });
const requests = new UnpackrStream();
const replies = new PackrStream();

function serve(): void {
  /** The commands that run, by the id of their request. */
  const running = new Map<number, RunningCommand>();
  /** Opened by the first call; why it can't be opened. */
  let library: LibzfsCore | string | undefined;
  const perform = async (call: LibraryCall): Promise<LibraryExit> => {
    library ??= openLibzfsCore();
    if (typeof library === "string") return { kind: "unusable", why: library };
    // A bug; what the call has done is not known.
    return library.perform(call).catch(() => ({ kind: "lost" }));
  };
  /** What ends each followed command, by the id of its request. */
  const followed = new Map<number, () => void>();
  const follow = (id: number, argv: readonly string[]) => {
    const command = followCommand(argv, children, (text) => replies.write({ id, text } satisfies RunReply));
    followed.set(id, command.stop);
    replies.on("drain", command.resume);
    void command.ended.then((end) => {
      followed.delete(id);
      replies.off("drain", command.resume);
      replies.write({ id, end } satisfies RunReply);
    });
  };
  requests.on("data", ({ id, command, call, follow: argvToFollow, unfollow }: RunRequest) => {
    if (argvToFollow) return follow(id, argvToFollow);
    if (unfollow !== undefined) return followed.get(unfollow)?.();
    if (call) {
      void perform(call).then((called) => replies.write({ id, called } satisfies RunReply));
      return;
    }
    if (!command) {
      replies.write({ id, running: [...running.values()] } satisfies RunReply);
      return;
    }
    const { argv, limits } = command;
    const startedAt = Date.now();
    const onStart = (pid: number | undefined) => running.set(id, { argv, pid, startedAt });
    void commands.run(argv, limits, children, onStart).then((end) => {
      running.delete(id);
      replies.write({ id, end } satisfies RunReply);
    });
  });
}

serve();
// Pid 0 is our own process group: this process and every command that it is running.
const endGroup = () => process.kill(0, "SIGKILL");
requests.on("end", endGroup);
process.stdout.on("error", endGroup);
replies.pipe(process.stdout);
process.stdin.pipe(requests);
