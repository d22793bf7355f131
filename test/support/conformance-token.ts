import type { TestProject } from "vitest/node";
import { setUpEmbedded } from "./conformance.js";

/** With a file of tokens, and one of them in the header of every request. */
export default (project: TestProject) => setUpEmbedded(project, "auto", { withToken: true });
