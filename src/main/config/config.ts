import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { z } from "zod";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { type PoolName, poolNameProblem } from "../../protocol/storage/names.js";
import type { EmbeddedSettings, OpenZfsSettings } from "../../protocol/storage/pool-settings.js";

const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

/** The original's names for levels, from its logging library. */
const ORIGINAL_LEVELS: Readonly<Record<string, LogLevelName>> = { warning: "warn", panic: "fatal" };

const HOST_PORT = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?$/;
const MAX_PORT = 65535;
/** setTimeout's limit: longer waits would end at once. */
const MAX_MS = 2 ** 31 - 1;

const command = z.array(z.string().min(1)).min(1);
const milliseconds = (defaultMs: number) => z.int().min(1).max(MAX_MS).default(defaultMs);
const count = (defaultCount: number, max: number) => z.int().min(1).max(max).default(defaultCount);
const hostPort = z
  .string()
  .regex(HOST_PORT, "must be HOST or HOST:PORT")
  .refine((text) => Number(/:(\d+)$/.exec(text)?.[1] ?? 1) <= MAX_PORT, `a port is at most ${MAX_PORT}`);

const poolName = z
  .string()
  .superRefine((name, context) => {
    const problem = poolNameProblem(name);
    if (problem !== undefined) context.addIssue({ code: "custom", message: `a pool's name ${problem}` });
  })
  .transform((name) => name as PoolName);

const openzfsPool = z.strictObject({
  name: poolName,
  driver: z.literal("openzfs"),
  zfsCommand: command.default(["zfs"]),
  zpoolCommand: command.default(["zpool"]),
  kstatCommand: z.array(z.string().min(1)).optional(),
  dispatch: z.enum(["grouped", "single"]).default("grouped"),
  deviceWaitMs: z.int().min(0).max(MAX_MS).default(10_000),
  originalDatabase: z.string().min(1).optional(),
}) satisfies z.ZodType<OpenZfsSettings>;

const embeddedPool = z.strictObject({
  name: poolName,
  driver: z.literal("embedded"),
  folder: z.string().min(1),
  quotaBytes: z.int().min(1).optional(),
  originalDatabase: z.string().min(1).optional(),
}) satisfies z.ZodType<EmbeddedSettings>;

/** A pool that names no driver is one of OpenZFS. */
const pool = z.preprocess(
  (value) => {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && !("driver" in value) ? { ...value, driver: "openzfs" } : value;
  },
  z.discriminatedUnion("driver", [openzfsPool, embeddedPool]),
);

const schema = z.strictObject({
  listen: z
    .strictObject({
      host: z.string().min(1).default("127.0.0.1"),
      port: z.int().min(0).max(MAX_PORT).default(19999),
      transport: z.enum(["auto", "uws", "node"]).default("auto"),
    })
    .prefault({}),
  pools: z
    .array(pool)
    .min(1)
    .superRefine((pools, context) => {
      const names = new Set<string>();
      const folders = new Set<string>();
      for (const [index, pool] of pools.entries()) {
        const refuse = (key: string, message: string) =>
          context.addIssue({ code: "custom", path: [index, key], message });
        if (names.has(pool.name)) refuse("name", "each pool is listed once");
        names.add(pool.name);
        if (pool.driver !== "embedded") continue;
        const folder = resolve(pool.folder);
        if (folders.has(folder)) refuse("folder", "a folder holds one pool");
        folders.add(folder);
      }
    })
    .prefault([{ name: "mistify" }]),
  imageService: hostPort.default("image.services.lochness.local"),
  imageSources: z.array(hostPort).default([]),
  dnsServers: z.array(z.string().min(1)).default([]),
  numFetchers: z.int().min(1).max(1024).default(availableParallelism()),
  maxPending: z.int().min(0).max(100_000).default(256),
  dataDir: z.string().min(1).default("/var/lib/imagestore"),
  volumeProperties: z.record(z.string().regex(/^[a-z0-9:._-]+$/), z.string()).default({ compression: "lz4" }),
  log: z
    .strictObject({
      level: z
        .string()
        .transform((level) => ORIGINAL_LEVELS[level] ?? level)
        .pipe(z.enum(LOG_LEVELS))
        .default("warn"),
    })
    .prefault({}),
  limits: z
    .strictObject({
      bodyBytes: z
        .int()
        .min(1024)
        .max(64 * 1024 * 1024)
        .default(1024 * 1024),
      batchLength: count(100, 10_000),
      /** Operations that one pool's actor may have under way; more are refused at once. */
      mailbox: count(10_000, 1_000_000),
      /** Commands that one pool's actor runs at once. */
      commands: count(16, 1024),
      downloads: count(256, 1024),
      /** Bytes of a download that may be under way between the threads. */
      streamWindowBytes: z
        .int()
        .min(64 * 1024)
        .max(64 * 1024 * 1024)
        .default(1024 * 1024),
    })
    .prefault({}),
  timeouts: z
    .strictObject({
      graceMs: z.int().min(0).max(MAX_MS).default(10_000),
      commandMs: milliseconds(60_000),
      /** How long a download waits for a reader that takes nothing. */
      stalledReaderMs: milliseconds(300_000),
      fetchConnectMs: milliseconds(10_000),
      /** A fetch that moves no byte for this long is given up. */
      fetchIdleMs: milliseconds(60_000),
      dnsMs: milliseconds(5_000),
      /** How long /readyz waits for an actor. */
      readyMs: milliseconds(2_000),
    })
    .prefault({}),
});

/** The whole configuration, checked and with its defaults. */
export type Config = z.output<typeof schema>;

/** What the command line may set; undefined: not given. */
export interface Flags {
  readonly config?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly zpool?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly imageService?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly transport?: string | undefined;
}

type Raw = Record<string, unknown>;

function object(value: unknown): Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Raw) : {};
}

/** Settings over a section; a section of the wrong type stays, for the schema to refuse. */
function merged(section: unknown, settings: Raw): unknown {
  const isSection = typeof section === "object" && section !== null && !Array.isArray(section);
  return section === undefined || isSection ? { ...object(section), ...settings } : section;
}

/** A number as text, or the text itself for the schema to refuse. */
function numeric(text: string): unknown {
  return /^-?\d+$/.test(text) ? Number(text) : text;
}

/** Puts settings from the environment or the command line over a raw configuration. */
function overlay(
  raw: Raw,
  settings: Flags & { numFetchers?: string | undefined; maxPending?: string | undefined },
): Raw {
  const result: Raw = { ...raw };
  const listen: Raw = {};
  if (settings.host !== undefined) listen.host = settings.host;
  if (settings.port !== undefined) listen.port = numeric(settings.port);
  if (settings.transport !== undefined) listen.transport = settings.transport;
  if (Object.keys(listen).length > 0) result.listen = merged(raw.listen, listen);
  if (settings.logLevel !== undefined) result.log = merged(raw.log, { level: settings.logLevel });
  if (settings.imageService !== undefined) result.imageService = settings.imageService;
  if (settings.dataDir !== undefined) result.dataDir = settings.dataDir;
  if (settings.numFetchers !== undefined) result.numFetchers = numeric(settings.numFetchers);
  if (settings.maxPending !== undefined) result.maxPending = numeric(settings.maxPending);
  if (settings.zpool !== undefined) {
    const known = Array.isArray(raw.pools) ? raw.pools.map(object) : [];
    result.pools = settings.zpool
      .split(",")
      .map((name) => known.find((each) => each.name === name) ?? { name });
  }
  return result;
}

function fromEnvironment(env: NodeJS.ProcessEnv): Parameters<typeof overlay>[1] {
  return {
    host: env.IMAGESTORE_HOST,
    port: env.IMAGESTORE_PORT,
    transport: env.IMAGESTORE_TRANSPORT,
    zpool: env.IMAGESTORE_POOLS,
    logLevel: env.IMAGESTORE_LOG_LEVEL,
    imageService: env.IMAGESTORE_IMAGE_SERVICE,
    dataDir: env.IMAGESTORE_DATA_DIR,
    numFetchers: env.IMAGESTORE_NUM_FETCHERS,
    maxPending: env.IMAGESTORE_MAX_PENDING,
  };
}

function readFile(path: string): Outcome<Raw> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return fail("request.invalid", `configuration ${path}: ${(error as Error).message}`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return succeed(value as Raw);
    return fail("request.invalid", `configuration ${path}: expected a JSON object`);
  } catch (error) {
    return fail("request.invalid", `configuration ${path}: ${(error as Error).message}`);
  }
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    raw,
  );
}

function describe(issue: z.core.$ZodIssue, raw: Raw): string {
  const at = issue.path.reduce<string>(
    (text, key) =>
      typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`,
    "",
  );
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${at === "" ? key : `${at}.${key}`}: unknown key`).join("\n");
  }
  const value = JSON.stringify(valueAt(raw, issue.path));
  return `${at || "configuration"} = ${value}: ${issue.message}`;
}

/** Checks a raw configuration. Fails with a line for each wrong value: path, value, rule. */
export function parseConfig(raw: Raw): Outcome<Config> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return succeed(parsed.data);
  return fail("request.invalid", parsed.error.issues.map((issue) => describe(issue, raw)).join("\n"));
}

/** Builds the configuration: file, then environment, then flags, each over the one before. */
export function loadConfig(flags: Flags, env: NodeJS.ProcessEnv): Outcome<Config> {
  const path = flags.config ?? env.IMAGESTORE_CONFIG;
  const file = path === undefined ? succeed<Raw>({}) : readFile(path);
  if (!file.ok) return file;
  return parseConfig(overlay(overlay(file.value, fromEnvironment(env)), flags));
}
