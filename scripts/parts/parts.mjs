// The parts that .ci/run and `npm run matrix` are made of.
/** @typedef {import("./run-part.mjs").Part} Part */

/** The releases of OpenZFS that Debian has, and the suite that each is of. It has no 2.2. */
export const OPENZFS_SUITES = {
  "2.1.11": "bookworm",
  "2.3.2": "bookworm-backports",
  "2.4.4": "trixie-backports",
};

/** Files of the conformance suite that say little of the release of OpenZFS: other releases run them in `npm run matrix` alone. */
const ALIKE_ON_EVERY_ZFS = [
  "backups",
  "browsers",
  "clients",
  "dry-runs",
  "fetches",
  "guest-quotas",
  "guests",
  "hostile",
  "http",
  "image-pruning",
  "image-trash",
  "json-rpc-2.0",
  "names",
  "pages",
  "volume-copies",
  "volume-settings",
].map((name) => `test/conformance/${name}.test.ts`);

/** What depends on the release of OpenZFS. */
const OF_THE_RELEASE = [
  "test/conformance",
  ...["look-ups", "streams", "stream-codec", "interop"].map((name) => `test/openzfs/${name}.test.ts`),
];

const VITEST = ["node", "node_modules/vitest/vitest.mjs", "run"];
const ON_NODE = ["node", "scripts/parts/on-node.mjs"];

/** @param {readonly string[]} names */
const projects = (names) => names.flatMap((name) => ["--project", name]);

/** Unit tests wait half of their time: on two processors vitest's own choice is one worker. The other projects have one file at a time. */
const TWO_WORKERS = "--maxWorkers=2";

/** @param {readonly string[]} files */
const excluded = (files) => files.flatMap((file) => ["--exclude", file]);

/** What needs no OpenZFS. */
const WITHOUT_ZFS = ["unit", "conformance-embedded", "embedded"];

/** Of that, what another release of Node has not broken so far: reckoning, texts, terminals, and tools of the build. */
const ALIKE_ON_EVERY_NODE = [
  "test/unit/*.test.ts",
  ...[
    "scripts",
    "packaging",
    "protocol/json-rpc",
    "protocol/raw-disk",
    "protocol/storage",
    "protocol/zfs-stream",
    "main/commands/image",
    "main/commands/top",
  ].map((folder) => `test/unit/${folder}/**`),
  "test/unit/workers/drivers/embedded/damaged-catalog.test.ts",
];

/** What another SQLite, HTTP of its own or new globals of a release of Node could break of a whole daemon. */
const OF_EVERY_NODE = [
  "builtin-sqlite",
  "client",
  "client-certificates",
  "events",
  "https-sources",
  "jobs",
  "pulls",
  "streams",
  "tls",
  "unix-socket",
  "websocket",
].map((name) => `test/embedded/${name}.test.ts`);

/** The same of a release that lies between two on which more is tried. */
const OF_NODE_BETWEEN = [
  "test/unit/workers/sqlite",
  "test/conformance",
  ...["builtin-sqlite", "streams", "websocket"].map((name) => `test/embedded/${name}.test.ts`),
];

/**
 * Tests on a release of OpenZFS, in its VM.
 * @param {keyof typeof OPENZFS_SUITES} release
 * @param {"all" | "of the release"} which
 * @returns {Part}
 */
export function openZfsPart(release, which) {
  const chosen =
    which === "all"
      ? projects(["conformance-uws", "conformance-node", "openzfs"])
      : [...projects(["conformance-uws", "openzfs"]), ...OF_THE_RELEASE, ...excluded(ALIKE_ON_EVERY_ZFS)];
  return {
    name: `OpenZFS ${release}`,
    argv: [...VITEST, ...chosen],
    env: {
      OPENZFS_VM_SUITE: OPENZFS_SUITES[release],
      REQUIRE_OPENZFS: "1",
      ...(which === "all"
        ? { CONFORMANCE_NODE_ON: "openzfs", BACKUP_INCREMENTS: "30" }
        : { LONG_TESTS: "elsewhere" }),
    },
    limitMinutes: which === "all" ? 85 : 45,
  };
}

/** Stores that speak S3 and are Debian's. `npm test` has s3rver alone. */
export const ENGINES = /** @type {const} */ (["radosgw", "swift"]);

/**
 * Backups to a store whose packages are there. Otherwise it tells which are missing, and has passed.
 * @param {typeof ENGINES[number]} engine
 * @returns {Part}
 */
export function enginePart(engine) {
  const files = ["object-store", "backups", "backup-faults", "backup-kills"];
  const tests = files.map((name) => `test/embedded/${name}.test.ts`);
  return {
    name: `backups to ${engine}`,
    argv: ["node", "scripts/parts/on-engine.mjs", engine, ...VITEST, ...projects(["embedded"]), ...tests],
    env: { OBJECT_ENGINE: engine },
    limitMinutes: 30,
  };
}

/**
 * The longest file of test/openzfs. `npm test` leaves it to this part where LIBRARY_WAY is "elsewhere".
 * @type {Part}
 */
export const LIBRARY_PART = {
  name: "libzfs_core",
  argv: [...VITEST, ...projects(["openzfs"]), "test/openzfs/library.test.ts"],
  env: { REQUIRE_OPENZFS: "1" },
  limitMinutes: 30,
};

/** What LONG_TESTS leaves to the matrix: it takes long, and seldom breaks. @param {string} folder @param {readonly string[]} names */
const left = (folder, names) => names.map((name) => `test/${folder}/${name}.test.ts`);

/** Of test/openzfs files that have a twin in test/embedded, that count under load, or that are of the VM's own scripts. */
const OPENZFS_LEFT = left("openzfs", [
  "backups",
  "bulk",
  "fetch-delay",
  "image-trash",
  "kept-look-ups",
  "load",
  "processes",
  "pulls",
  "secret-sources",
  "sends",
  "vm-scripts",
  "volume-copies",
]);

/** Of the conformance suite, which three daemons with pools in folders run in full, what is of the wire alone; and what takes long. */
const CONFORMANCE_LEFT = left("conformance", [
  ...["browsers", "clients", "hostile", "http", "json-rpc-2.0", "pages"],
  ...["fetches", "image-pruning", "image-trash", "volume-copies"],
]);

/** Of test/embedded what waits for times and rates, or breaks connections and ends processes again and again. */
const EMBEDDED_LEFT = left("embedded", [
  "backup-faults",
  "broken-fetches",
  "expiring-callers",
  "many-lists",
  "paced-downloads",
  "pull-kills",
  "resumed-pulls",
  "top",
]);

/**
 * All projects of vitest, in the order in which they begin, two at a time: the longest first, so that none is left alone
 * at the end for long.
 * @param {NodeJS.ProcessEnv} env
 * @returns {Part[]}
 */
export function testParts({ LONG_TESTS }) {
  /** @param {...string} files */
  const without = (...files) => (LONG_TESTS === "elsewhere" ? excluded(files) : []);
  /** @param {string} name @param {readonly string[]} names @param {readonly string[]} [more] */
  const part = (name, names, more = []) => ({
    name,
    argv: [...VITEST, ...projects(names), ...more],
    limitMinutes: 180,
  });
  return [
    part("OpenZFS", ["conformance-uws", "openzfs"], without(...OPENZFS_LEFT, ...CONFORMANCE_LEFT)),
    part("folders", ["embedded"], without(...EMBEDDED_LEFT)),
    part("clients", ["conformance-embedded", "conformance-node", "conformance-token", "browser", "fuzz"]),
    part("unit", ["unit"], [TWO_WORKERS]),
    part("faults", ["faults"]),
  ];
}

/**
 * All tests on this machine's Node and one release of OpenZFS, but for those of LIBRARY_PART and those that take long.
 * @type {Part}
 */
export const TEST_PART = {
  name: "npm test",
  argv: ["npm", "test"],
  // A run a day makes more random requests than one of the default length.
  env: { LIBRARY_WAY: "elsewhere", LONG_TESTS: "elsewhere", FUZZ_REQUESTS: "25000" },
  limitMinutes: 85,
};

/**
 * Builds the VM of a release of OpenZFS, with what time others leave.
 * @param {keyof typeof OPENZFS_SUITES} release
 * @returns {Part}
 */
export function vmPart(release) {
  return {
    name: `VM with OpenZFS ${release}`,
    argv: ["nice", "-n", "19", "test/openzfs-vm/build.sh"],
    env: { OPENZFS_VM_SUITE: OPENZFS_SUITES[release] },
    limitMinutes: 25,
  };
}

/**
 * Tests on a release of Node, on this machine. `between`: of one that lies between two on which more is tried.
 * @param {number} major
 * @param {"all" | "of the release" | "between"} which
 * @returns {Part}
 */
export function nodePart(major, which) {
  const some = {
    all: [],
    "of the release": ["test/unit", "test/conformance", ...OF_EVERY_NODE, ...excluded(ALIKE_ON_EVERY_NODE)],
    between: OF_NODE_BETWEEN,
  }[which];
  return {
    name: `Node ${major}`,
    argv: [...ON_NODE, String(major), "--", ...VITEST, TWO_WORKERS, ...projects(WITHOUT_ZFS), ...some],
    limitMinutes: 40,
  };
}

/**
 * The tests of what serves HTTP on a release of Node in a root of Debian 13, whose C library is new
 * enough for the newer build of uWebSockets.js.
 * @param {number} major
 * @returns {Part}
 */
export function uwsPart(major) {
  const tests = [...projects(["unit", "conformance-embedded"]), "test/unit/main/http", "test/conformance"];
  return {
    name: `Node ${major} in Debian 13`,
    argv: [...ON_NODE, String(major), "--in", "trixie", "--", ...VITEST, TWO_WORKERS, ...tests],
    env: { REQUIRE_UWS: "1" },
    limitMinutes: 30,
  };
}
