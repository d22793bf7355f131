/**
 * The runner: a lean process that runs the short commands of one actor. A spawn copies
 * the page tables of its parent, so its cost must not grow with the daemon's memory.
 * Orders come on stdin and ends go out on stdout, as msgpackr streams; when stdin ends
 * the actor has gone, and so go the commands.
 */
import { PackrStream, UnpackrStream } from "msgpackr";
import { createChildMemory, createChildTable } from "../protocol/threads/child-table.js";
import { runCommand } from "./processes/run-command.js";
import type { RunEnd, RunOrder } from "./processes/runner-link.js";

const children = createChildTable(createChildMemory());
const orders = new UnpackrStream();
const ends = new PackrStream();

orders.on("data", ({ id, argv, limits }: RunOrder) => {
  void runCommand(argv, limits, children).then((end) => ends.write({ id, end } satisfies RunEnd));
});
// The whole group, which is this process and every command it has running.
orders.on("end", () => process.kill(0, "SIGKILL"));
process.stdout.on("error", () => process.kill(0, "SIGKILL"));
ends.pipe(process.stdout);
process.stdin.pipe(orders);
