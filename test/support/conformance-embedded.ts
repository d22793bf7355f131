import type { TestProject } from "vitest/node";
import { setUpEmbedded } from "./conformance.js";

export default (project: TestProject) =>
  setUpEmbedded(project, process.env.REQUIRE_UWS === "1" ? "uws" : "auto");
