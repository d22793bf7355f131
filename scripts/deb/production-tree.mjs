/** What of node_modules, and which Node, goes into a package for one platform. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyBundle, SQLITE, UWS_OLDER } from "../bundle/bundle.mjs";

/** The Node inside has a SQLite of its own, and the older build of uWebSockets.js has no binary for it. */
const NOT_NEEDED = [SQLITE, UWS_OLDER];

/**
 * Puts the Node of packaging/node into a folder, as its project publishes it.
 * @param {string} folder
 */
export function installNode(folder) {
  const work = fs.mkdtempSync(join(tmpdir(), "imagestore-node-"));
  try {
    for (const name of ["package.json", "package-lock.json"])
      fs.copyFileSync(`packaging/node/${name}`, join(work, name));
    const argv = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    execFileSync("npm", argv, { cwd: work, stdio: ["ignore", "ignore", "inherit"] });
    const from = join(work, "node_modules", `node-linux-${process.arch}`);
    fs.mkdirSync(folder, { recursive: true });
    const program = join(folder, "node");
    fs.copyFileSync(join(from, "bin/node"), program);
    fs.chmodSync(program, 0o755);
    const { version } = JSON.parse(fs.readFileSync(join(from, "package.json"), "utf8"));
    return { program, version: String(version), license: fs.readFileSync(join(from, "LICENSE"), "utf8") };
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Puts package.json and what the program needs of node_modules into a folder.
 * @param {string} folder @param {string} abi of the Node that runs it, as process.versions.modules
 * @returns {string[]} name, version and license of each package, a line each
 */
export function copyProduction(folder, abi) {
  const { devDependencies, scripts, ...manifest } = JSON.parse(fs.readFileSync("package.json", "utf8"));
  fs.writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  const { platform, arch } = process;
  return copyBundle(".", folder, { platform, arch, abi }, NOT_NEEDED).map((path) => {
    const { name, version, license } = JSON.parse(
      fs.readFileSync(join(folder, path, "package.json"), "utf8"),
    );
    return `  ${name} ${version}: ${typeof license === "string" ? license : (license?.type ?? "see its folder")}`;
  });
}
