import type { TestProject } from "vitest/node";
import { acquireVm } from "./vm.js";

/** The set-up of the project openzfs, whose tests run commands in the VM. */
export default async (project: TestProject) => {
  const { vm, release } = await acquireVm();
  if ("skip" in vm) process.stderr.write(`openzfs is skipped: ${vm.skip}\n`);
  project.provide("vm", vm);
  return async () => release();
};
