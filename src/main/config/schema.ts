import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { z } from "zod";
import { type PoolName, poolNameProblem } from "../../protocol/storage/names.js";
import type { EmbeddedSettings, OpenZfsSettings } from "../../protocol/storage/pool-settings.js";
import { MAX_SEND_RATE, MIN_SEND_RATE } from "../../protocol/storage/send-terms.js";
import { isLoopback } from "../http/loopback.js";
import { backupProfiles } from "./backup-profiles.js";
import { findFolderClashes } from "./folder-clashes.js";
import { imageSettings } from "./image-settings.js";
import { clientCertificates, listenTls } from "./listen-tls.js";
import { peers } from "./peer-settings.js";
import { findStrayReplications, replication } from "./replication-settings.js";
import { socket } from "./socket-settings.js";
import { tracing } from "./tracing-settings.js";

const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal", "silent"] as const;
type LogLevelName = (typeof LOG_LEVELS)[number];

/** Names of levels that mistify-agent-image accepted, because its logging library has them. */
const ORIGINAL_LEVELS: Readonly<Record<string, LogLevelName>> = { warning: "warn", panic: "fatal" };

const HOST_PORT = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?$/;
const MAX_PORT = 65535;
/** The longest delay that setTimeout accepts. It treats a longer one as 1 ms. */
const MAX_MS = 2 ** 31 - 1;
const KIB = 1024;
const MIB = 1024 * KIB;

const argv = z.array(z.string().min(1));
const command = argv.min(1);
const milliseconds = (defaultMs: number) => z.int().min(1).max(MAX_MS).default(defaultMs);
const count = (defaultCount: number, max: number) => z.int().min(1).max(max).default(defaultCount);
const LEAST_ROOM = 64 * KIB;
const room = (defaultBytes: number, max: number) => z.int().min(LEAST_ROOM).max(max).default(defaultBytes);
const hostPort = z
  .string()
  .regex(HOST_PORT, "must be HOST or HOST:PORT")
  .refine((text) => Number(/:(\d+)$/.exec(text)?.[1] ?? 1) <= MAX_PORT, `a port is at most ${MAX_PORT}`);

const poolName = z.string().refine((name): name is PoolName => poolNameProblem(name) === undefined, {
  error: ({ input }) => `a pool's name ${poolNameProblem(String(input))}`,
});

const openzfsPool = z.strictObject({
  name: poolName,
  driver: z.literal("openzfs"),
  zfsCommand: command.default(["zfs"]),
  zpoolCommand: command.default(["zpool"]),
  kstatCommand: argv.optional(),
  library: z.enum(["auto", "off"]).default("auto"),
  outsideEvents: z.enum(["auto", "off"]).default("auto"),
  dispatch: z.enum(["grouped", "single"]).default("grouped"),
  deviceWaitMs: z.int().min(0).max(MAX_MS).default(10_000),
  originalDatabase: z.string().min(1).optional(),
}) satisfies z.ZodType<OpenZfsSettings>;

const embeddedPool = z.strictObject({
  name: poolName,
  driver: z.literal("embedded"),
  folder: z.string().min(1),
  quotaBytes: z.int().min(1).optional(),
  recover: z.boolean().optional(),
  originalDatabase: z.string().min(1).optional(),
}) satisfies z.ZodType<EmbeddedSettings>;

const NEEDS_AUTH =
  "other machines reach it: set auth.tokens to a file of tokens (imagestore token create), or auth.open to true if whoever reaches it may do everything";
const GO_TOGETHER = "auth.certificates and listen.tls.clientCa go together";

/** What a JSON object parses to. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A pool that names no driver is an OpenZFS pool. */
const pool = z.preprocess(
  (value) => (isJsonObject(value) && !("driver" in value) ? { ...value, driver: "openzfs" } : value),
  z.discriminatedUnion("driver", [openzfsPool, embeddedPool]),
);

/** No two pools share a name, and no two embedded pools share a folder. */
const pools = z
  .array(pool)
  .min(1)
  .superRefine((pools, context) => {
    const names = new Set<string>();
    const folders = new Set<string>();
    for (const [index, pool] of pools.entries()) {
      const addIssue = (key: string, message: string) =>
        context.addIssue({ code: "custom", path: [index, key], message });
      if (names.has(pool.name)) addIssue("name", "each pool is listed once");
      names.add(pool.name);
      if (pool.driver !== "embedded") continue;
      const folder = resolve(pool.folder);
      if (folders.has(folder)) addIssue("folder", "a folder holds one pool");
      folders.add(folder);
    }
  });

/** Where bulk downloads are served. Without it, nowhere: an upgrade opens no port by itself. */
const bulk = z.strictObject({
  /** That of the main port by default. */
  host: z.string().min(1).optional(),
  port: z.int().min(0).max(MAX_PORT),
});

const listen = z.strictObject({
  host: z.string().min(1).default("127.0.0.1"),
  port: z.int().min(0).max(MAX_PORT).default(19999),
  transport: z.enum(["auto", "uws", "node"]).default("auto"),
  names: z.array(z.string().min(1)).default([]),
  origins: z
    .array(z.string().regex(/^https?:\/\/[^/]+$/, "must be SCHEME://HOST or SCHEME://HOST:PORT"))
    .default([]),
  /** Whether the page for a browser is served, at `/ui`. */
  ui: z.boolean().default(true),
  bulk: bulk.optional(),
  socket: socket.optional(),
  tls: listenTls.optional(),
});

/** Whom the daemon serves. Without it, whoever reaches it: that must be this machine, or be asked for. */
const auth = z.strictObject({
  /** The file of the tokens that it takes (imagestore token). Then nobody is served without one. */
  tokens: z.string().min(1).optional(),
  /** Whom it knows by their certificates, where it listens with TLS. */
  certificates: clientCertificates.optional(),
  /** Serves other machines without either. */
  open: z.boolean().default(false),
});

const audit = z.strictObject({
  /** Gets a line for each change, and for each call that is not allowed. */
  file: z.string().min(1).optional(),
});

const log = z.strictObject({
  level: z
    .string()
    .transform((level) => ORIGINAL_LEVELS[level] ?? level)
    .pipe(z.enum(LOG_LEVELS))
    .default("warn"),
  /** `pretty` is for people, `json` for programs. */
  format: z.enum(["json", "pretty"]).default("json"),
});

const limits = z.strictObject({
  /** Clients that are connected. Fewer where descriptors are few (src/main/http/descriptors.ts). */
  connections: count(10_000, 1_000_000),
  bodyBytes: z
    .int()
    .min(KIB)
    .max(64 * MIB)
    .default(MIB),
  /** Bodies of all requests, from their first byte until they are answered. */
  bodyBytesInFlight: z
    .int()
    .min(MIB)
    .max(4096 * MIB)
    .default(64 * MIB),
  batchLength: count(100, 10_000),
  /** Lists that differ, and recursive calls, in one batch. */
  batchLists: count(16, 10_000),
  /** JSON text of the answers in one reply. The default has room for 100,000 snapshots with the longest names. */
  replyBytes: room(32 * MIB, 256 * MIB),
  /** JSON text of all replies that have been made and that their clients have not taken. What several share counts once. */
  replyBytesInFlight: room(256 * MIB, 4096 * MIB),
  /** Disks that VerifyDisks and CreateGuestDisks take. */
  disksPerGuest: count(64, 10_000),
  /** Operations that one pool's actor may have pending. It refuses more at once. */
  mailbox: count(10_000, 1_000_000),
  /** Commands that one pool's actor runs at the same time, by what they do to the pool. */
  commands: count(16, 1024),
  destroyCommands: count(8, 1024),
  readCommands: count(8, 1024),
  holdCommands: count(4, 1024),
  downloads: count(256, 1024),
  /** Bytes a second that all downloads together may send; 0: as many as they can. */
  sendBytesPerSecond: z
    .int()
    .min(0)
    .max(MAX_SEND_RATE)
    .refine((rate) => rate === 0 || rate >= MIN_SEND_RATE, {
      message: `must be 0, or at least ${MIN_SEND_RATE}`,
    })
    .default(0),
  /** Bytes of one download that may be in flight between the threads. */
  streamWindowBytes: room(MIB, 64 * MIB),
  /** Events that are kept for clients that come back. */
  events: count(10_000, 1_000_000),
  /** Bytes of events that may wait for one client. */
  subscriberBytes: room(MIB, 64 * MIB),
});

/** A body or a reply that the one limit allows must fit into the other. */
const checkedLimits = limits
  .refine(({ bodyBytes, bodyBytesInFlight }) => bodyBytesInFlight >= bodyBytes, {
    path: ["bodyBytesInFlight"],
    message: "must be at least limits.bodyBytes",
  })
  .refine(({ replyBytes, replyBytesInFlight }) => replyBytesInFlight >= replyBytes, {
    path: ["replyBytesInFlight"],
    message: "must be at least limits.replyBytes",
  });

const timeouts = z.strictObject({
  graceMs: z.int().min(0).max(MAX_MS).default(10_000),
  /** From the first byte of a request's body to its last. */
  bodyMs: milliseconds(30_000),
  /** How long a client may take for a reply, from its first byte to its last. Not for downloads. */
  replyMs: milliseconds(120_000),
  commandMs: milliseconds(60_000),
  /** How long a download waits for a client that reads nothing. */
  stalledReaderMs: milliseconds(300_000),
  fetchConnectMs: milliseconds(10_000),
  /** A fetch fails when no byte arrives for this long. */
  fetchIdleMs: milliseconds(60_000),
  dnsMs: milliseconds(5_000),
  /** How often a pool is looked at for images that others have destroyed. */
  imageLookMs: milliseconds(60_000),
  /** How much longer than the limits of its commands an operation may take, until it counts as late. */
  lateMs: milliseconds(30_000),
  /** How long `/readyz` waits for an actor. */
  readyMs: milliseconds(2_000),
});

/** The configuration file: checks a parsed JSON value and fills in the defaults. */
export const configSchema = z
  .strictObject({
    listen: listen.prefault({}),
    auth: auth.prefault({}),
    pools: pools.prefault([{ name: "mistify" }]),
    imageService: hostPort.default("image.services.lochness.local"),
    imageSources: z.array(hostPort).default([]),
    images: imageSettings.prefault({}),
    peers: peers.default({}),
    replication: replication.default([]),
    dnsServers: z.array(z.string().min(1)).default([]),
    numFetchers: z.int().min(1).max(1024).default(availableParallelism()),
    maxPending: z.int().min(0).max(100_000).default(256),
    dataDir: z.string().min(1).default("/var/lib/imagestore"),
    volumeProperties: z
      .record(z.string().regex(/^[a-z0-9:._-]+$/), z.string())
      .default({ compression: "lz4" }),
    log: log.prefault({}),
    audit: audit.prefault({}),
    tracing: tracing.optional(),
    backups: backupProfiles.default({}),
    limits: checkedLimits.prefault({}),
    timeouts: timeouts.prefault({}),
  })
  .superRefine(({ peers, replication, pools }, context) => {
    for (const { path, message } of findStrayReplications(replication, peers, pools)) {
      context.addIssue({ code: "custom", path: [...path], message });
    }
  })
  .superRefine(({ dataDir, pools, auth, listen: { host, port, bulk, tls } }, context) => {
    for (const [path, address] of [
      [["host"], host] as const,
      [["bulk", "host"], bulk?.host ?? host] as const,
      [["tls", "host"], tls?.host ?? host] as const,
    ]) {
      const isKnown = auth.tokens !== undefined || (path[0] === "tls" && auth.certificates !== undefined);
      if (isLoopback(address) || isKnown || auth.open) continue;
      context.addIssue({ code: "custom", path: ["listen", ...path], message: NEEDS_AUTH });
      break;
    }
    if ((auth.certificates === undefined) !== (tls?.clientCa === undefined)) {
      context.addIssue({ code: "custom", path: ["auth", "certificates"], message: GO_TOGETHER });
    }
    for (const [name, other, message] of [
      ["bulk", port, "must not be listen.port"] as const,
      ["tls", port, "must not be listen.port"] as const,
      ["tls", bulk?.port, "must not be listen.bulk.port"] as const,
    ]) {
      const own = name === "bulk" ? bulk?.port : tls?.port;
      if (own !== other || !own) continue;
      context.addIssue({ code: "custom", path: ["listen", name, "port"], message });
    }
    for (const { pool, message } of findFolderClashes(dataDir, pools)) {
      context.addIssue({ code: "custom", path: ["pools", pool, "folder"], message });
    }
  });

/** A complete configuration: checked, with every default filled in. */
export type Config = z.output<typeof configSchema>;
