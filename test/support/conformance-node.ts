import type { TestProject } from "vitest/node";
import { setUpConformance, setUpEmbedded } from "./conformance.js";

/** On pools in folders. On OpenZFS it takes minutes, and finds what conformance-uws finds: `npm run matrix` does so. */
export default (project: TestProject) =>
  process.env.IMAGESTORE_URL || process.env.CONFORMANCE_NODE_ON === "openzfs"
    ? setUpConformance(project, "node", "node", ["/dev/vdc", "/dev/vdd"])
    : setUpEmbedded(project, "node");
