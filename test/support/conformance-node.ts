import type { TestProject } from "vitest/node";
import { setUpConformance } from "./conformance.js";

export default (project: TestProject) => setUpConformance(project, "node", ["/dev/vdc", "/dev/vdd"]);
