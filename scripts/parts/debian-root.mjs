// The root of another release of Debian, made by debootstrap and kept in the user's cache.
// Programs run in it beside this checkout, which they see at its own path.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CACHE } from "./nodes.mjs";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));

/** What tests and clients use beside Node. */
const PACKAGES = "ca-certificates,curl,iproute2,libatomic1,libstdc++6,procps,socat";
/** Where a root names the packages that it was made with. */
const NAMES = "packages-asked-for";

/**
 * The folder of a root. Makes it where it is missing or was made with other packages, which takes a
 * minute and needs root.
 * @param {string} suite - trixie, …
 */
export function debianRoot(suite) {
  const root = join(CACHE, "roots", suite);
  const names = join(root, NAMES);
  if (existsSync(names) && readFileSync(names, "utf8") === PACKAGES) return root;
  const unfinished = `${root}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dirname(root), { recursive: true });
  const argv = ["--variant=minbase", `--include=${PACKAGES}`, suite, unfinished];
  const { status } = spawnSync("debootstrap", argv, { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`debootstrap makes no root of ${suite}`);
  writeFileSync(join(unfinished, NAMES), PACKAGES);
  rmSync(root, { recursive: true, force: true });
  renameSync(unfinished, root);
  return root;
}

/**
 * The command that runs `argv` in a root, in this checkout. Its mounts end with it.
 * @param {string} suite
 * @param {readonly string[]} folders - more that it may see, at their own paths
 * @param {readonly string[]} argv
 */
export function inDebianRoot(suite, folders, argv) {
  const script = `
    root=$1 checkout=$2
    shift 2
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/tmp"
    while [ "$1" != -- ]; do
      mkdir -p "$root$1"
      mount --bind "$1" "$root$1"
      shift
    done
    shift
    unset NODE_EXTRA_CA_CERTS
    exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$checkout" "$@"`;
  const seen = [CHECKOUT, ...folders];
  const root = debianRoot(suite);
  return [
    ...["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh"],
    ...[root, CHECKOUT, ...seen, "--", ...argv],
  ];
}
