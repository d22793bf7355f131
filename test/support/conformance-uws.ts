import type { TestProject } from "vitest/node";
import { setUpConformance } from "./conformance.js";
import { transportNames } from "./transports.js";

/** Where no uWebSockets.js loads, which `transports.ts` says, node:http serves what is tried on OpenZFS. */
const [transport = "node"] = transportNames;

export default (project: TestProject) =>
  setUpConformance(project, "uws", transport, ["/dev/vda", "/dev/vdb"]);
