import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flags, loadConfig, parseConfig, unknownVariables } from "../../../../src/main/config/load.js";
import type { Config } from "../../../../src/main/config/schema.js";
import { CLI } from "../../../support/daemon.js";

const folder = (name: string) => fileURLToPath(new URL(`../../../../config/${name}`, import.meta.url));

function load(flags: Flags, env: NodeJS.ProcessEnv = {}): Config {
  const config = loadConfig(flags, env);
  if (!config.ok) throw new Error(config.failure.message);
  return config.value;
}

function refusal(flags: Flags, env: NodeJS.ProcessEnv = {}): string {
  const config = loadConfig(flags, env);
  if (config.ok) throw new Error("accepted");
  return config.failure.message;
}

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-config-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function file(value: unknown): string {
  const path = join(scratch, `${Math.random().toString(36).slice(2)}.json`);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

describe("the defaults", () => {
  test("config/default.json is what one gets without any configuration", () => {
    expect(load({ config: folder("default.json") })).toEqual(load({}));
  });

  test("config/default.json writes out every setting but those that depend on the machine", () => {
    const written: unknown = JSON.parse(readFileSync(folder("default.json"), "utf8"));
    const { numFetchers, ...rest } = load({});
    expect(written).toEqual(rest);
    expect(numFetchers).toBe(Math.min(availableParallelism(), 1024));
  });

  test("are the original's where it had them", () => {
    expect(load({})).toMatchObject({
      listen: { host: "127.0.0.1", port: 19999 },
      pools: [{ name: "mistify" }],
      log: { level: "warn" },
      imageService: "image.services.lochness.local",
      volumeProperties: { compression: "lz4" },
    });
  });

  test("are not shared: what one changes in a configuration another does not see", () => {
    const first = load({}) as { pools: { name: string }[] };
    first.pools.push({ name: "evil" });
    expect(load({}).pools.map(({ name }) => name)).toEqual(["mistify"]);
  });
});

describe("samples", () => {
  const samples = readdirSync(folder("samples"));

  test("there are some", () => expect(samples.length).toBeGreaterThanOrEqual(4));

  test.each(samples)("%s loads", (name) => {
    const config = load({ config: join(folder("samples"), name) });
    expect(config.pools.length).toBeGreaterThan(0);
  });

  test("a checked configuration, printed, loads as the same", () => {
    for (const name of samples) {
      const config = load({ config: join(folder("samples"), name) });
      expect(load({ config: file(config) })).toEqual(config);
    }
  });

  test("several pools keep their order, and their own settings", () => {
    const { pools } = load({ config: join(folder("samples"), "several-pools.json") });
    expect(pools.map(({ name }) => name)).toEqual(["fast", "bulk", "p.q-r_s:t"]);
    expect(pools[1]?.originalDatabase).toBe("/bulk/images/.images.db");
    expect(pools[0]?.originalDatabase).toBeUndefined();
  });

  test("a pool may be kept in a folder, beside one of OpenZFS", () => {
    const { pools } = load({ config: join(folder("samples"), "embedded.json") });
    expect(pools).toMatchObject([
      { driver: "embedded", folder: "/srv/imagestore/tank", quotaBytes: 100 * 1024 ** 3 },
      { driver: "openzfs", zfsCommand: ["zfs"] },
    ]);
  });

  test("bulk downloads are served where the configuration says so, and nowhere by default", () => {
    expect(load({ config: join(folder("samples"), "bulk.json") }).listen.bulk).toEqual({
      host: "10.0.0.7",
      port: 19997,
    });
    expect(load({}).listen).not.toHaveProperty("bulk");
  });

  test("no pool is embedded unless its configuration says so", () => {
    expect(load({ zpool: "a,b" }).pools.map(({ driver }) => driver)).toEqual(["openzfs", "openzfs"]);
    const quickStart = fileURLToPath(new URL("../../../../config/embedded.json", import.meta.url));
    expect(load({ config: quickStart }).pools).toMatchObject([{ name: "tank", driver: "embedded" }]);
  });

  test("commands may have words in front of zfs", () => {
    const { pools } = load({ config: join(folder("samples"), "sudo.json") });
    expect(pools[0]).toMatchObject({ zfsCommand: ["sudo", "-n", "zfs"] });
    expect(pools[0]).not.toHaveProperty("kstatCommand");
  });

  test("the kstats of a pool on another machine are shown by a command, or not read at all", () => {
    const { pools } = load({ config: join(folder("samples"), "ssh.json") });
    expect(pools[0]).toMatchObject({
      kstatCommand: ["ssh", "-o", "BatchMode=yes", "storage.example", "cat"],
    });
    const path = file({ pools: [{ name: "tank", kstatCommand: [] }] });
    expect(load({ config: path }).pools[0]).toMatchObject({ kstatCommand: [] });
  });
});

/** What the refusal of each broken file has to say: path, value, rule. */
const BROKEN: Readonly<Record<string, RegExp>> = {
  "no-json.json": /configuration .*no-json\.json:2:1: .*JSON/,
  "empty-file.json": /configuration .*empty-file\.json:1:1: .*JSON/,
  "array.json": /configuration .*array\.json: expected a JSON object/,
  "string.json": /configuration .*string\.json: expected a JSON object/,
  "unknown-key.json": /^port: unknown key/,
  "unknown-nested-key.json": /^limits\.boddyBytes: unknown key, did you mean bodyBytes\?$/,
  "unknown-pool-key.json": /^pools\[0\]\.zfs: unknown key/,
  "port-text.json": /^listen\.port = "19999": .*expected (?:int|number), received string/,
  "port-too-high.json": /^listen\.port = 65536: .*<=65535/,
  "port-negative.json": /^listen\.port = -1: .*>=0/,
  "port-fraction.json": /^listen\.port = 80\.5: .*expected int/,
  "backup-endpoint-with-path.json":
    /^backups\.offsite\.endpoint = "https:\/\/store\.example\/backups": must be an http or https URL of a host/,
  "backup-recipient-of-ssh.json":
    /^backups\.offsite\.recipients\[0\] = "ssh-ed25519 AAAA": must be a public key of age/,
  "bulk-port-missing.json": /^listen\.bulk\.port = undefined: .*expected number, received undefined$/,
  "bulk-port-taken.json": /^listen\.bulk\.port = 8080: must not be listen\.port$/,
  "tls-port-taken.json": /^listen\.tls\.port = 8080: must not be listen\.port$/,
  "certificates-without-ca.json":
    /^auth\.certificates = .*: auth\.certificates and listen\.tls\.clientCa go together$/,
  "certificate-of-nobody.json":
    /^auth\.certificates\[0\]\.subject = undefined: must have a subject or a fingerprint/,
  "crl-without-ca.json": /^listen\.tls\.crl = "crl\.pem": needs listen\.tls\.clientCa$/,
  "tls-without-key.json": /^listen\.tls\.key = undefined: /,
  "bulk-unknown-key.json": /^listen\.bulk\.prot: unknown key/,
  "host-open.json":
    /^listen\.host = "0\.0\.0\.0": other machines reach it: set auth\.tokens .* or auth\.open/,
  "host-empty.json": /^listen\.host = "": .*>=1/,
  "transport-unknown.json": /^listen\.transport = "express": .*"auto"\|"uws"\|"node"/,
  "listen-array.json": /^listen = \[\]: .*expected object, received array/,
  "pools-empty.json": /^pools = \[\]: .*>=1/,
  "pools-text.json": /^pools = "tank": .*expected array, received string/,
  "pool-without-name.json": /^pools\[0\]\.name = undefined: .*expected string/,
  "pool-twice.json": /^pools\[2\]\.name = "tank": each pool is listed once$/,
  "pool-with-slash.json":
    /^pools\[0\]\.name = "tank\/images": a pool's name must begin with a letter and hold only/,
  "pool-as-option.json": /^pools\[0\]\.name = "-tank": a pool's name must begin with a letter/,
  "pool-reserved.json": /^pools\[0\]\.name = "mirror-0": a pool's name is reserved by zpool/,
  "driver-unknown.json": /^pools\[0\]\.driver = "btrfs": .*'openzfs' \| 'embedded'/,
  "embedded-folder-twice.json": /^pools\[1\]\.folder = "\/p": a folder holds one pool$/,
  "embedded-folder-with-records.json":
    /^pools\[1\]\.folder = "\/p\/": \/p\/pool\.db would hold both the pool and the records of a pool: choose another/,
  "embedded-folder-in-another.json":
    /^pools\[0\]\.folder = "\/p": \/p\/zvol\/b lies in a folder that the pool clears at each start$/,
  "embedded-folder-with-data-dir-inside.json":
    /^pools\[0\]\.folder = "\/p": \/p\/volumes lies in a folder that the pool clears at each start$/,
  "embedded-quota-zero.json": /^pools\[0\]\.quotaBytes = 0: .*>=1/,
  "embedded-with-command.json": /^pools\[0\]\.zfsCommand: unknown key$/,
  "embedded-without-folder.json": /^pools\[0\]\.folder = undefined: .*expected string/,
  "openzfs-with-folder.json": /^pools\[0\]\.folder: unknown key$/,
  "command-empty.json": /^pools\[0\]\.zfsCommand = \[\]: .*>=1/,
  "command-text.json": /^pools\[0\]\.zfsCommand = "sudo zfs": .*expected array/,
  "command-empty-word.json": /^pools\[0\]\.zfsCommand\[1\] = "": .*>=1/,
  "library-word.json": /^pools\[0\]\.library = "on": /,
  "kstat-command-text.json": /^pools\[0\]\.kstatCommand = "cat": .*expected array/,
  "peer-path.json":
    /^peers\.two\.url = "http:\/\/two:19999\/rpc": must be http:\/\/HOST:PORT or https:\/\/HOST:PORT$/,
  "replication-peer.json": /^replication\[0\]\.peer = "two": is none of peers$/,
  "replication-schedule.json":
    /^replication\[0\]\.schedule = "now and then": must be a schedule as cron has it/,
  "image-service-url.json": /^imageService = "http:\/\/images\.example\/": must be HOST or HOST:PORT$/,
  "image-service-port.json": /^imageService = "images\.example:port": must be HOST or HOST:PORT$/,
  "image-source-space.json": /^imageSources\[1\] = "mir ror": must be HOST or HOST:PORT$/,
  "no-fetchers.json": /^numFetchers = 0: .*>=1/,
  "pending-negative.json": /^maxPending = -1: .*>=0/,
  "log-level-unknown.json": /^log\.level = "verbose": .*"debug"\|"info"\|"warn"/,
  "timeout-zero.json": /^timeouts\.commandMs = 0: .*>=1/,
  "timeout-too-long.json": /^timeouts\.stalledReaderMs = 2147483648: .*<=2147483647/,
  "property-name.json": /^volumeProperties\.Compression=off = "lz4": /,
  "property-value.json": /^volumeProperties\.compression = true: .*expected string, received boolean/,
  "data-dir-null.json": /^dataDir = null: .*expected string, received null/,
  "three-mistakes.json": /^listen\.port = 70000: .*\nnumFetchers = "many": .*\ncolour: unknown key$/,
};

describe("broken configurations", () => {
  test("each file in config/broken has its expected refusal here", () => {
    expect(readdirSync(folder("broken")).sort()).toEqual(Object.keys(BROKEN).sort());
  });

  test.each(Object.entries(BROKEN))("%s is refused with path, value and rule", (name, message) => {
    const path = join(folder("broken"), name);
    const lines = refusal({ config: path }).split("\n");
    const rest = lines.map((line) => {
      if (line.startsWith("configuration ")) return line;
      const place = `${path}:`;
      expect(line.slice(0, place.length)).toBe(place);
      expect(line.slice(place.length)).toMatch(/^\d+:\d+: /);
      return line.slice(place.length).replace(/^\d+:\d+: /, "");
    });
    expect(rest.join("\n")).toMatch(message);
  });

  test("a value is told with its file, line and column, but not where a flag or the environment gave it", () => {
    const path = join(scratch, "placed.json");
    const text =
      '{\n  "listen": { "host": "::1",\n    "port": 70000 },\n  "pools": [ {} ],\n  "dataDri": "/x"\n}\n';
    writeFileSync(path, text);
    expect(refusal({ config: path }).split("\n")).toEqual([
      expect.stringMatching(`^${path}:3:13: listen\\.port = 70000: `),
      expect.stringMatching(`^${path}:4:14: pools\\[0\\]\\.name = undefined: `),
      `${path}:5:14: dataDri: unknown key, did you mean dataDir?`,
    ]);
    expect(refusal({ config: path, port: "70001" })).toMatch(/^listen\.port = 70001: /);
  });

  test.each([
    ['{\n  "listen": {,\n}', 2, 14],
    ['{\n  "a": 1', 2, 9],
    ["", 1, 1],
  ])("what is no JSON is told with the place where it stops being JSON: %j", (text, line, column) => {
    const path = join(scratch, "no.json");
    writeFileSync(path, text);
    expect(refusal({ config: path })).toMatch(`configuration ${path}:${line}:${column}: `);
  });

  test("a secret in a wrong place is not told", () => {
    const keys = { bucket: "backups", accessKeyFile: "a", secretKeyFile: "s" };
    const store = {
      ...keys,
      endpoint: "https://ada:hunter2@store.example",
      recipients: ["AGE-SECRET-KEY-1QQZZ"],
    };
    const said = refusal({ config: file({ backups: { store } }) });
    expect(said).toContain('endpoint = "https://…@store.example": ');
    expect(said).toContain('recipients[0] = "AGE-SECRET-KEY-…": ');
    expect(said).not.toMatch(/ada|hunter2|QQZZ/);
  });

  test("a file that is not there is refused by its name", () => {
    expect(refusal({ config: join(scratch, "none.json") })).toMatch(/configuration .*none\.json: ENOENT/);
  });

  test("port 99999 is impossible for an image service too", () => {
    expect(parseConfig({ imageService: "images.example:99999" }).ok).toBe(false);
  });
});

describe("precedence", () => {
  const inFile = {
    listen: { host: "10.0.0.1", port: 1000 },
    auth: { open: true },
    pools: [{ name: "filepool", deviceWaitMs: 7 }],
    imageService: "file.example:1",
    log: { level: "error" },
    maxPending: 1,
    dataDir: "/file",
  };
  const env = {
    IMAGESTORE_PORT: "2000",
    IMAGESTORE_POOLS: "envpool",
    IMAGESTORE_IMAGE_SERVICE: "env.example:2",
    IMAGESTORE_LOG_LEVEL: "info",
    IMAGESTORE_MAX_PENDING: "2",
    IMAGESTORE_NUM_FETCHERS: "3",
    IMAGESTORE_DATA_DIR: "/env",
    IMAGESTORE_TRANSPORT: "node",
    IMAGESTORE_HOST: "::1",
    IMAGESTORE_TOKENS: "/env/tokens",
  };
  const flags = {
    port: "3000",
    zpool: "flagpool",
    imageService: "flag.example:3",
    logLevel: "debug",
    dataDir: "/flag",
    transport: "uws",
    host: "127.0.0.9",
    tokens: "/flag/tokens",
  };

  test("the file is over the defaults", () => {
    expect(load({ config: file(inFile) })).toMatchObject(inFile);
  });

  test("the environment is over the file", () => {
    expect(load({ config: file(inFile) }, env)).toMatchObject({
      listen: { host: "::1", port: 2000, transport: "node" },
      auth: { open: true, tokens: "/env/tokens" },
      pools: [{ name: "envpool" }],
      imageService: "env.example:2",
      log: { level: "info" },
      maxPending: 2,
      numFetchers: 3,
      dataDir: "/env",
    });
  });

  test("flags are over both", () => {
    expect(load({ config: file(inFile), ...flags }, env)).toMatchObject({
      listen: { host: "127.0.0.9", port: 3000, transport: "uws" },
      auth: { tokens: "/flag/tokens" },
      pools: [{ name: "flagpool" }],
      imageService: "flag.example:3",
      log: { level: "debug" },
      maxPending: 2,
      dataDir: "/flag",
    });
  });

  test("a setting that one layer does not give comes from the layer below", () => {
    const config = load({ config: file(inFile), port: "3000" }, { IMAGESTORE_LOG_LEVEL: "info" });
    expect(config.listen).toEqual({
      host: "10.0.0.1",
      port: 3000,
      transport: "auto",
      names: [],
      origins: [],
      ui: true,
    });
    expect(config).toMatchObject({ log: { level: "info" }, maxPending: 1, dataDir: "/file" });
  });

  test("the file may be named by the environment, and a flag names another", () => {
    const env = { IMAGESTORE_CONFIG: file({ dataDir: "/a" }) };
    expect(load({}, env).dataDir).toBe("/a");
    expect(load({ config: file({ dataDir: "/b" }) }, env).dataDir).toBe("/b");
  });

  test("--recover is for the embedded pools of this start, and for no other setting", () => {
    const pools = [{ name: "a" }, { name: "b", driver: "embedded", folder: "/b" }];
    const path = file({ pools });
    expect(load({ config: path, recover: true }, {}).pools).toEqual([
      load({ config: path }, {}).pools[0],
      { name: "b", driver: "embedded", folder: "/b", recover: true },
    ]);
    expect(load({ config: path }, {}).pools[1]).not.toHaveProperty("recover");
    expect(load({ recover: true }, {})).toEqual(load({}, {}));
  });

  test("a pool that a flag names keeps the settings it has in the file", () => {
    const path = file({ pools: [{ name: "a" }, { name: "b", deviceWaitMs: 7 }] });
    expect(load({ config: path, zpool: "b,c" }).pools).toMatchObject([
      { name: "b", deviceWaitMs: 7 },
      { name: "c", deviceWaitMs: 10_000 },
    ]);
  });

  test.each([
    [{ port: "many" }, /^listen\.port = "many": /],
    [{ port: "70000" }, /^listen\.port = 70000: /],
    [{ zpool: "tank,tank" }, /^pools\[1\]\.name = "tank": each pool is listed once/],
    [{ zpool: "../x" }, /^pools\[0\]\.name = "\.\.\/x": a pool's name/],
    [{ zpool: "a,,b" }, /^pools\[1\]\.name = "": a pool's name/],
    [{ logLevel: "loud" }, /^log\.level = "loud": /],
    [{ transport: "apache" }, /^listen\.transport = "apache": /],
  ] as const)("flags %j are refused as a file's values are", (flags, message) => {
    expect(refusal(flags)).toMatch(message);
  });

  test("bad values of the environment are refused too", () => {
    expect(refusal({}, { IMAGESTORE_PORT: "" })).toMatch(/^listen\.port = "": /);
    expect(refusal({}, { IMAGESTORE_NUM_FETCHERS: "0" })).toMatch(/^numFetchers = 0: /);
  });
});

describe("the original's names of log levels", () => {
  test.each([
    ["warning", "warn"],
    ["panic", "fatal"],
    ["debug", "debug"],
    ["info", "info"],
    ["error", "error"],
    ["fatal", "fatal"],
  ])("%s means %s", (level, ours) => {
    expect(load({ logLevel: level }).log.level).toBe(ours);
  });
});

function cli(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk: Buffer) => {
      output.stdout += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      output.stderr += chunk.toString();
    });
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, ...output }));
  });
}

describe("variables of the environment", () => {
  test("one that is no setting is told with the nearest that is", () => {
    const env = { IMAGESTORE_PROT: "1", IMAGESTORE_PORT: "2", IMAGESTORE_TRACE: "x", PATH: "/" };
    expect(unknownVariables(env)).toEqual([
      "the variable IMAGESTORE_PROT is no setting, did you mean IMAGESTORE_PORT?",
    ]);
  });
});

describe("the command line", () => {
  test("a mistyped command is told with the nearest", async () => {
    const child = spawn(process.execPath, [CLI, "sevre"], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const status = await new Promise((resolve) => child.once("close", resolve));
    expect([status, stderr]).toEqual([1, 'imagestore: unknown command "sevre", did you mean serve?\n']);
  });

  test("check-config prints a good configuration with its defaults and exits 0", async () => {
    const { status, stdout, stderr } = await cli("check-config", "-c", folder("default.json"));
    expect([status, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toEqual(load({}));
  });

  test("check-config takes the original's flags", async () => {
    const { status, stdout } = await cli(
      ...["check-config", "-p", "1234", "-z", "tank", "-l", "warning", "-i", "images.example:80"],
    );
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      listen: { port: 1234 },
      pools: [{ name: "tank" }],
      log: { level: "warn" },
      imageService: "images.example:80",
    });
    const long = await cli(
      ...["check-config", "--port", "1234", "--zpool", "tank", "--log-level", "warning"],
      ...["--image-service", "images.example:80"],
    );
    expect(long.stdout).toBe(stdout);
  });

  test.each([
    [
      ["check-config", "-c", join(folder("broken"), "pool-twice.json")],
      /^imagestore: \S+pool-twice\.json:\d+:\d+: pools\[2\]\.name = "tank"/,
    ],
    [["check-config", "-p", "70000"], /^imagestore: listen\.port = 70000: /],
    [["-p", "70000"], /^imagestore: listen\.port = 70000: /],
    [["check-config", "--no-such-flag"], /unknown option/],
    [["check-config", "-c", ""], /must not be empty/],
    [["check-config", "surplus"], /too many arguments/],
  ])("%j exits 1 with the reason on stderr and nothing on stdout", async (args, message) => {
    const { status, stdout, stderr } = await cli(...args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(message);
  });
});

describe("tracing", () => {
  test("is off by default, and traces all requests where it is on", () => {
    expect(load({}).tracing).toBeUndefined();
    const url = "https://collector:4318/v1/traces";
    expect(load({ config: file({ tracing: { url } }) }).tracing).toEqual({
      url,
      sampleRatio: 1,
      headers: {},
    });
  });

  test.each([
    [{}, "tracing.url"],
    [{ url: "collector:4318" }, "must be an http or https URL"],
    [{ url: "grpc://collector:4317" }, "must be an http or https URL"],
    [{ url: "http://user:password@collector/v1/traces" }, "without a user"],
    [{ url: "http://collector", sampleRatio: 1.5 }, "tracing.sampleRatio"],
    [{ url: "http://collector", headers: { "not a name": "x" } }, "tracing.headers"],
    [{ url: "http://collector", headers: { authorization: "two\r\nlines" } }, "must be ASCII"],
  ])("%j is refused, with what is wrong", (tracing, why) => {
    expect(refusal({ config: file({ tracing }) })).toContain(why);
  });
});
