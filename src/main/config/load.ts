import type { z } from "zod";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { nearestName, unknownName } from "../../protocol/storage/nearest-name.js";
import { type ConfigFile, readConfigFile } from "./config-file.js";
import { type Config, configSchema, isJsonObject, type JsonObject } from "./schema.js";

/** Settings that the command line and the environment may give, as text. Undefined: not given. */
interface CommonOverrides {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  /** Pool names, separated by commas. */
  readonly zpool?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly logFormat?: string | undefined;
  readonly imageService?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly transport?: string | undefined;
  /** Path of the file of tokens. */
  readonly tokens?: string | undefined;
}

/** The command line's settings, under the names that commander gives its options. */
export interface Flags extends CommonOverrides {
  /** Path of the configuration file. */
  readonly config?: string | undefined;
  /** Sets `recover` of every embedded pool for this start. */
  readonly recover?: boolean | undefined;
}

interface Overrides extends CommonOverrides {
  readonly numFetchers?: string | undefined;
  readonly maxPending?: string | undefined;
}

function fromEnvironment(env: NodeJS.ProcessEnv): Overrides {
  return {
    host: env.IMAGESTORE_HOST,
    port: env.IMAGESTORE_PORT,
    transport: env.IMAGESTORE_TRANSPORT,
    tokens: env.IMAGESTORE_TOKENS,
    zpool: env.IMAGESTORE_POOLS,
    logLevel: env.IMAGESTORE_LOG_LEVEL,
    logFormat: env.IMAGESTORE_LOG_FORMAT,
    imageService: env.IMAGESTORE_IMAGE_SERVICE,
    dataDir: env.IMAGESTORE_DATA_DIR,
    numFetchers: env.IMAGESTORE_NUM_FETCHERS,
    maxPending: env.IMAGESTORE_MAX_PENDING,
  };
}

const VARIABLES = [
  ...["CONFIG", "HOST", "PORT", "TRANSPORT", "POOLS", "LOG_LEVEL", "IMAGE_SERVICE", "DATA_DIR"],
  ...["NUM_FETCHERS", "MAX_PENDING", "TRACE", "TRACE_FAULT", "URL", "TOKENS", "TOKEN_FILE"],
  ...["CA_FILE", "CERT_FILE", "KEY_FILE", "CONTEXT", "LOG_FORMAT"],
].map((name) => `IMAGESTORE_${name}`);

/** A line for each variable that looks like a setting of ours and is none: it was probably mistyped. */
export function unknownVariables(env: NodeJS.ProcessEnv): readonly string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith("IMAGESTORE_") && !VARIABLES.includes(name))
    .map((name) => `the variable ${name} is no setting, ${unknownName(name, VARIABLES)}`);
}

/** The keys that a pool may have, whatever its driver. */
const POOL_KEYS: readonly string[] = [
  "name",
  "driver",
  "zfsCommand",
  "zpoolCommand",
  "kstatCommand",
  "deviceWaitMs",
  "library",
  "outsideEvents",
  "folder",
  "quotaBytes",
  "recover",
];

function withoutUndefined(settings: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/** Converts digits to a number. Other text stays as it is, so that the schema's message can quote it. */
function toNumber(text: string | undefined): unknown {
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : text;
}

/** Puts settings over a section. A section of the wrong type stays as it is: the schema refuses it. */
function overrideSection(section: unknown, settings: JsonObject): unknown {
  const given = withoutUndefined(settings);
  if (Object.keys(given).length === 0) return section;
  if (section === undefined) return given;
  return isJsonObject(section) ? { ...section, ...given } : section;
}

/** Replaces the list of pools by the named ones. Each keeps the settings that it has in the list. */
function overridePools(pools: unknown, names: string | undefined): unknown {
  if (names === undefined) return pools;
  const known = Array.isArray(pools) ? pools.filter(isJsonObject) : [];
  return names.split(",").map((name) => known.find((pool) => pool.name === name) ?? { name });
}

function recoverPools(raw: JsonObject): JsonObject {
  if (!Array.isArray(raw.pools)) return raw;
  const recovered = raw.pools.map((pool: unknown) =>
    isJsonObject(pool) && pool.driver === "embedded" ? { ...pool, recover: true } : pool,
  );
  return { ...raw, pools: recovered };
}

/** Puts overrides over an unchecked configuration. */
function override(raw: JsonObject, overrides: Overrides): JsonObject {
  const { host, port, transport, tokens, zpool, logLevel: level, logFormat: format } = overrides;
  const { imageService, dataDir, numFetchers, maxPending } = overrides;
  return {
    ...raw,
    ...withoutUndefined({
      listen: overrideSection(raw.listen, { host, port: toNumber(port), transport }),
      auth: overrideSection(raw.auth, { tokens }),
      pools: overridePools(raw.pools, zpool),
      imageService,
      numFetchers: toNumber(numFetchers),
      maxPending: toNumber(maxPending),
      dataDir,
      log: overrideSection(raw.log, { level, format }),
    }),
  };
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value = raw;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

/** A path as a JavaScript programmer writes it: `pools[0].name`. */
function pathText(path: readonly PropertyKey[]): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else text += text === "" ? String(key) : `.${String(key)}`;
  }
  return text;
}

/** What to say about a key that no setting has. The settings with a default are known by it. */
function unknownKey(path: readonly PropertyKey[], key: string): string {
  const siblings = path[0] === "pools" ? POOL_KEYS : Object.keys(valueAt(configSchema.parse({}), path) ?? {});
  const nearest = nearestName(key, siblings);
  // A pool's key that only the other driver has.
  if (nearest === key) return "unknown key";
  return nearest === undefined ? "unknown key" : `unknown key, did you mean ${nearest}?`;
}

type Place = (path: readonly PropertyKey[]) => string;

/** A value without what can be a secret: who a URL is for, and a secret key of age. */
function valueText(value: unknown): string | undefined {
  const text = JSON.stringify(value);
  return text?.replace(/(AGE-SECRET-KEY-)\w+/gi, "$1…").replace(/(:\/\/)[^/@"\s]*@/g, "$1…@");
}

/** One line for each wrong value: where it is, its path, the value, and the rule it breaks. */
function issueText(issue: z.core.$ZodIssue, raw: JsonObject, place: Place): string {
  if (issue.code === "unrecognized_keys") {
    const line = (key: string) => {
      const path = [...issue.path, key];
      return `${place(path)}${pathText(path)}: ${unknownKey(issue.path, key)}`;
    };
    return issue.keys.map(line).join("\n");
  }
  const value = valueText(valueAt(raw, issue.path));
  return `${place(issue.path)}${pathText(issue.path) || "configuration"} = ${value}: ${issue.message}`;
}

/**
 * Checks an unchecked configuration and fills in the defaults.
 * Fails: request.invalid, with one line for each wrong value: its place in `file` (if it comes
 * from there), path, value, rule.
 */
export function parseConfig(raw: JsonObject, file?: ConfigFile): Outcome<Config> {
  const parsed = configSchema.safeParse(raw);
  if (parsed.success) return succeed(parsed.data);
  const place: Place = (path) => {
    // A value of the environment or of a flag is nowhere in the file.
    if (!file || valueAt(file.settings, path) !== valueAt(raw, path)) return "";
    const found = file.placeOf(path);
    return found === undefined ? "" : `${found}: `;
  };
  const lines = parsed.error.issues.map((issue) => issueText(issue, raw, place));
  return fail("request.invalid", lines.join("\n"));
}

/**
 * Builds the configuration. Flags override the environment, and both override the file.
 * Fails: request.invalid, for a file that can't be read and for every wrong value.
 */
export function loadConfig(flags: Flags, env: NodeJS.ProcessEnv): Outcome<Config> {
  const path = flags.config ?? env.IMAGESTORE_CONFIG;
  const file = path === undefined ? undefined : readConfigFile(path);
  if (file && !file.ok) return file;
  const raw = override(override(file?.value.settings ?? {}, fromEnvironment(env)), flags);
  return parseConfig(flags.recover ? recoverPools(raw) : raw, file?.value);
}
