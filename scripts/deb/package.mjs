/**
 * `npm run package:deb`: makes build/imagestore_VERSION_ARCH.deb of the compiled dist, for this
 * machine's architecture. With the same sources, the same npm and SOURCE_DATE_EPOCH (by default the
 * time of the newest commit) the bytes are the same.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { bashCompletion, fishCompletion, zshCompletion } from "./completions.mjs";
import { manPages } from "./man-pages.mjs";
import { copyProduction, installNode } from "./production-tree.mjs";

const STAGE = "build/deb";
const LIB = `${STAGE}/usr/lib/imagestore`;
const DOC = `${STAGE}/usr/share/doc/imagestore`;

/** @param {string} program @param {...string} args */
const run = (program, ...args) => execFileSync(program, args, { encoding: "utf8" }).trim();

/** @param {string} path below the package's root @param {string | Buffer} content @param {number} mode */
function put(path, content, mode = 0o644) {
  const file = join(STAGE, path);
  fs.mkdirSync(dirname(file), { recursive: true });
  fs.writeFileSync(file, content, { mode });
}

/** @param {string} from @param {string} to below the package's root @param {number} mode */
const copy = (from, to, mode = 0o644) => put(to, fs.readFileSync(from), mode);

/** @param {string} text */
const zipped = (text) => gzipSync(text, { level: 9 });

/** @param {string} folder @returns {string[]} everything below it, folders too */
const below = (folder) =>
  fs.readdirSync(folder, { encoding: "utf8", recursive: true }).map((path) => join(folder, path));

const { version, description } = JSON.parse(fs.readFileSync("package.json", "utf8"));
const epoch = Number(process.env.SOURCE_DATE_EPOCH ?? run("git", "log", "-1", "--format=%ct"));
const date = new Date(epoch * 1000);
const architecture = run("dpkg", "--print-architecture");
const maintainer = `${process.env.DEBFULLNAME ?? "imagestore"} <${process.env.DEBEMAIL ?? "imagestore@localhost"}>`;

function putProgram() {
  fs.mkdirSync(LIB, { recursive: true });
  const node = installNode(`${LIB}/bin`);
  const abi = run(node.program, "-p", "process.versions.modules");
  const packages = copyProduction(LIB, abi);
  fs.cpSync("dist", `${LIB}/dist`, { recursive: true, filter: (path) => !path.endsWith(".map") });
  copy("packaging/imagestore.sh", "usr/bin/imagestore", 0o755);
  copy("packaging/imagestore.service", "usr/lib/systemd/system/imagestore.service");
  copy("packaging/imagestore.json", "etc/imagestore/imagestore.json");
  return { node, packages };
}

async function putTexts() {
  const compiled = (/** @type {string} */ path) =>
    import(new URL(`../../compiled/${path}`, import.meta.url).href);
  const { createProgram } = await compiled("main/commands/program.js");
  const { EXAMPLES: examples } = await compiled("main/commands/examples.js");
  const { createMethodTable } = await compiled("protocol/json-rpc/methods/table.js");
  const { names: methods } = createMethodTable();
  const program = createProgram(version);
  for (const { name, section, text } of manPages(program, {
    ...{ version, examples, date: date.toISOString().slice(0, 10) },
  }))
    put(`usr/share/man/man${section}/${name}.${section}.gz`, zipped(text));
  put("usr/share/bash-completion/completions/imagestore", bashCompletion(program, methods));
  put("usr/share/zsh/vendor-completions/_imagestore", zshCompletion(program, methods));
  put("usr/share/fish/vendor_completions.d/imagestore.fish", fishCompletion(program, methods));
}

/** @param {string} nodeLicense @param {readonly string[]} packages a line for each */
function putDocuments(nodeLicense, packages) {
  for (const name of ["README.md", "SECURITY.md", "CHANGELOG.md"])
    copy(name, `usr/share/doc/imagestore/${name}`);
  for (const name of fs.readdirSync("docs").filter((name) => name.endsWith(".md")))
    copy(`docs/${name}`, `usr/share/doc/imagestore/${name}`);
  fs.cpSync("config/samples", `${DOC}/examples`, { recursive: true });
  copy("deploy/prometheus/imagestore.rules.yml", "usr/share/doc/imagestore/examples/imagestore.rules.yml");
  copy("deploy/grafana-dashboard.json", "usr/share/doc/imagestore/examples/grafana-dashboard.json");
  copy("packaging/examples/embedded.conf", "usr/share/doc/imagestore/examples/embedded.conf");
  put("usr/share/doc/imagestore/node-license.gz", zipped(nodeLicense));
  const changes = `imagestore (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- ${maintainer}  ${date.toUTCString().replace("GMT", "+0000")}\n`;
  put("usr/share/doc/imagestore/changelog.gz", zipped(changes));
  const license = fs.readFileSync("LICENSE", "utf8");
  put(
    "usr/share/doc/imagestore/copyright",
    `imagestore is free software under the Apache License 2.0, which is below and in
/usr/share/common-licenses/Apache-2.0. /usr/lib/imagestore/bin/node is Node.js as its project publishes it;
node-license.gz has its licenses. /usr/lib/imagestore/dist/ui/licenses.md has those of the page. /usr/lib/imagestore/node_modules has these packages, with their licenses:

${packages.join("\n")}

${license}`,
  );
}

function putControl() {
  const files = below(STAGE).filter((path) => fs.statSync(path).isFile());
  const sums = files
    .map((path) => [relative(STAGE, path), createHash("md5").update(fs.readFileSync(path)).digest("hex")])
    .sort(([a = ""], [b = ""]) => (a < b ? -1 : 1));
  const kib = files.reduce((sum, path) => sum + Math.ceil(fs.statSync(path).size / 1024), 0);
  put("DEBIAN/md5sums", sums.map(([path, sum]) => `${sum}  ${path}\n`).join(""));
  put("DEBIAN/conffiles", "/etc/imagestore/imagestore.json\n");
  for (const name of ["postinst", "prerm", "postrm"])
    copy(`packaging/debian/${name}`, `DEBIAN/${name}`, 0o755);
  put(
    "DEBIAN/control",
    `Package: imagestore
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${kib}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9)
Recommends: systemd, iproute2
Suggests: zfsutils-linux (>= 2.1)
Section: admin
Priority: optional
Description: guest disks and ZFS pools of a hypervisor node
 ${description}.
 .
 It has the Node that it runs on inside, and needs no other.
`,
  );
}

/** Every file has the modes and the time that do not depend on who builds, and when. */
function settle() {
  for (const path of [STAGE, ...below(STAGE)]) {
    const stat = fs.lstatSync(path);
    if (!stat.isSymbolicLink()) fs.chmodSync(path, stat.isDirectory() || stat.mode & 0o100 ? 0o755 : 0o644);
    fs.lutimesSync(path, epoch, epoch);
  }
}

fs.rmSync(STAGE, { recursive: true, force: true });
const { node, packages } = putProgram();
await putTexts();
putDocuments(node.license, packages);
putControl();
settle();
const output = `build/imagestore_${version}_${architecture}.deb`;
execFileSync("dpkg-deb", ["--root-owner-group", "-Zxz", "--build", STAGE, output], {
  env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
  stdio: ["ignore", "ignore", "inherit"],
});
console.log(`${output}: ${(fs.statSync(output).size / 2 ** 20).toFixed(1)} MiB, Node ${node.version} inside`);
