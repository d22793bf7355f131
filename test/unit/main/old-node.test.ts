import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const CLI = fileURLToPath(new URL("../../../dist/main/cli.js", import.meta.url));

test("a Node that is too old is told in one line, before anything else loads", () => {
  // The real Node 18 says the same; it is not on the machines of the tests.
  const disguise = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "18.20.8" } })`;
  const argv = ["--import", `data:text/javascript,${encodeURIComponent(disguise)}`, CLI, "serve"];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: "",
    stderr: "imagestore needs Node 20 or newer, and this is Node 18.20.8\n",
  });
});
