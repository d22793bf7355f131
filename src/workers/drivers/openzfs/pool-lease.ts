import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { fail, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { PoolName } from "../../../protocol/storage/names.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { failureOf } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { PoolOwner } from "../driver.js";
import { lockOnHost } from "./host-lock.js";
import type { ZfsCommands } from "./zfs-commands.js";

/**
 * One daemon serves a pool (docs/decisions/lease.md). A lock keeps other processes of this machine
 * away, at once and exactly. A user property on the pool's root tells other machines, and
 * containers, which may reach the same pool: it has a time, and is renewed.
 */
export interface PoolLease {
  /** Lets another daemon take the pool. Never rejects. */
  release(): Promise<void>;
}

interface LeaseOptions {
  readonly pool: PoolName;
  /** The pool's guid, as zpool prints it. */
  readonly guid: string;
  readonly owner: PoolOwner;
  readonly commands: ZfsCommands;
  readonly log: ActorLog;
  /** Where this process runs: see hostId. For tests. */
  readonly host?: string;
}

const PROPERTY = "imagestore:lease";
/** A renewal is a transaction group, after which look-ups ask again: so it must be rare. */
const RENEW_MS = 3 * 60_000;
/** Three renewals may fail. */
const STALE_MS = 4 * RENEW_MS;

/** The property: host, pid, run and seconds since 1970, with a space between them. */
interface Lease {
  readonly host: string;
  readonly pid: string;
  readonly runId: string;
  readonly at: number;
}

function parseLease(text: string): Lease | undefined {
  const [host, pid, runId, at, ...more] = text.split(" ");
  if (!host || !pid || !runId || !at || !/^\d+$/.test(at) || more.length > 0) return undefined;
  return { host, pid, runId, at: Number(at) };
}

/**
 * Takes the pool for this daemon. Fails: pool.unavailable while another one has it, with its
 * host and pid. A pool that is imported read-only, or whose properties we may not set, has the
 * lock of this machine alone.
 */
export async function takeLease(options: LeaseOptions): Promise<Outcome<PoolLease>> {
  const { pool, guid, owner, commands, log, host = hostId() } = options;
  const me = `pid ${process.pid}, dataDir ${owner.dataDir}`;
  const held =
    guid === "" ? { kind: "unsupported" as const, why: "the pool has no guid" } : await lockOnHost(guid, me);
  if (held.kind === "held") {
    const who = held.holder === "" ? "which does not say who it is" : held.holder;
    return fail("pool.unavailable", `pool ${pool} is served by another imagestore on this machine: ${who}`);
  }
  if (held.kind === "unsupported") log.info("no lock of this machine", { pool, why: held.why });
  const releaseLock = () => {
    if (held.kind === "taken") held.lock.release();
  };

  async function read(): Promise<Lease | undefined> {
    const end = await commands.zfs(["get", "-Hp", "-o", "value", "-s", "local", PROPERTY, pool]);
    return succeeded(end) ? parseLease(end.stdout.trim()) : undefined;
  }

  const isOurs = (lease: Lease) => lease.runId === owner.runId || lease.runId === owner.earlierRunId;

  async function write(): Promise<void> {
    const value = `${host} ${process.pid} ${owner.runId} ${Math.floor(Date.now() / 1000)}`;
    const end = await commands.zfs(["set", `${PROPERTY}=${value}`, pool]);
    if (succeeded(end)) return;
    const { failure } = failureOf(end);
    if (failure.code === "pool.read_only") log.debug("a read-only pool has no lease", { pool });
    else log.warn("the pool's lease can't be written; other machines can't see it", { pool, ...failure });
  }

  async function renew(): Promise<void> {
    const lease = await read();
    if (lease && !isOurs(lease)) {
      log.error("another imagestore has taken the pool: stop one of them", { pool, ...lease });
      return;
    }
    await write();
  }

  const lease = await read();
  // With the lock of this machine, a lease of this machine is that of a dead process.
  const isFree = !lease || isOurs(lease) || (lease.host === host && held.kind === "taken");
  const ageMs = lease ? Date.now() - lease.at * 1000 : 0;
  if (lease && !isFree && Math.abs(ageMs) < STALE_MS) {
    releaseLock();
    return fail("pool.unavailable", describeOther(pool, lease, ageMs));
  }
  await write();
  const timer = setInterval(() => void renew(), RENEW_MS);
  timer.unref();
  return succeed({
    async release() {
      clearInterval(timer);
      const last = await read();
      if (last?.runId === owner.runId) await commands.zfs(["inherit", PROPERTY, pool]);
      releaseLock();
    },
  });
}

function describeOther(pool: PoolName, { host, pid, runId }: Lease, ageMs: number): string {
  const seconds = Math.round(ageMs / 1000);
  const waitSeconds = Math.ceil((STALE_MS - ageMs) / 1000);
  return `pool ${pool} is served by another imagestore: host ${host}, pid ${pid}, run ${runId}, seen ${seconds} s ago; if it is dead, wait ${waitSeconds} s, or run: zfs inherit ${PROPERTY} ${pool}`;
}

/**
 * This machine, or the container in it: its name, and a digest of its machine id and network
 * namespace, because the lock is seen within that namespace only.
 */
function hostId(): string {
  const parts = [() => readFileSync("/etc/machine-id", "utf8"), () => readlinkSync("/proc/self/ns/net")].map(
    (part) => {
      try {
        return part();
      } catch {
        // Not on this system: the name has to do.
        return "";
      }
    },
  );
  const digest = createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 8);
  return `${hostname().replaceAll(" ", "-")}/${digest}`;
}
