/**
 * The runner: a lean process that runs the short commands of one actor. A spawn copies the
 * page tables of its parent, so its cost must not grow with the daemon's memory. Requests
 * arrive on stdin and replies leave on stdout, both as msgpackr streams. When stdin ends, the
 * actor has closed it or died, and the runner ends itself and its commands.
 */
import { PackrStream, UnpackrStream } from "msgpackr";
import { createChildMemory, createChildTable } from "../protocol/threads/child-table.js";
import { openTrace, traced } from "../protocol/threads/trace-points.js";
import { runCommand } from "./processes/run-command.js";
import type { RunReply, RunRequest } from "./processes/runner-link.js";

// Nobody reads this table: main ends the runner's whole group.
const children = createChildTable(createChildMemory());
const commands = traced(openTrace(process.env, "runner"), "commands", { run: runCommand });
const requests = new UnpackrStream();
const replies = new PackrStream();

requests.on("data", ({ id, command }: RunRequest) => {
  if (command) {
    const { argv, limits } = command;
    void commands.run(argv, limits, children).then((end) => replies.write({ id, end } satisfies RunReply));
  } else replies.write({ id } satisfies RunReply);
});
// Pid 0 is our own process group: this process and every command that it is running.
const endGroup = () => process.kill(0, "SIGKILL");
requests.on("end", endGroup);
process.stdout.on("error", endGroup);
replies.pipe(process.stdout);
process.stdin.pipe(requests);
