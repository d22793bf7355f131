import { fail, failed, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { type PoolName, snapshotOf } from "../../storage/names.js";
import type { MigrationPlan, PulledVolume } from "../../storage/records.js";
import type { ReplicationRecord } from "../../storage/replication-record.js";
import type { SendPlan } from "../../storage/send-terms.js";
import { joinWithin } from "../joined.js";
import { quote } from "../json-text.js";
import { arrayOf, boolean, string, struct } from "../params.js";
import { dryRunField } from "./dry-run.js";
import { change, destroying, type Method, method, methodOnNode, type Routed } from "./method.js";
import { onName, onNameExplained } from "./routing.js";
import { wrongField } from "./send-query.js";
import { encodeOneSnapshot } from "./snapshots.js";
import { termsFields } from "./terms.js";
import { ownVolume } from "./volume-verbs.js";
import { encodeOneVolume } from "./volumes.js";

const fields = { id: string, pool: string };

/** More than any receiver has of one volume. */
const MOST_GUIDS = 10_000;
const LONGEST_SOURCE = 512;

const need = (field: string, wanted: string) =>
  tellAbout(fail("request.missing_field", `need a ${field}`), { field, wanted });

function encodePlan({ name, guid, isThere, base, bytes }: SendPlan): string {
  const from = base ? { id: base.name, guid: base.guid } : null;
  return JSON.stringify({ plans: [{ id: name, guid, isThere, base: from, bytes }] });
}

function encodeMigration(plan: MigrationPlan): string {
  const { peer, source, base = null, estimatedBytes = null, snapshot = null, fences, drops } = plan;
  return JSON.stringify({ peer, source, base, estimatedBytes, snapshot, fences, drops });
}

function encodePulled({ volume, snapshot, guid, received, wasFull, plan }: PulledVolume): string {
  const pulled = `{"snapshot":${quote(snapshot)},"guid":${quote(guid)},"bytes":${received},"full":${wasFull}}`;
  const planned = plan ? `,"plan":${encodeMigration(plan)}` : "";
  return `${encodeOneVolume(volume).slice(0, -1)},"pulled":${pulled}${planned}}`;
}

function checkGuids(have: readonly string[]): Outcome<null> {
  if (have.length <= MOST_GUIDS && have.every((guid) => /^\d{1,20}$/.test(guid))) return succeed(null);
  return wrongField("have", `${have.length} texts`, `at most ${MOST_GUIDS} guids, in decimal digits`);
}

const pullFields = { ...fields, peer: string, source: string, force: boolean, ...termsFields };

interface PullRequest {
  readonly id: string;
  readonly pool: string;
  readonly peer: string;
  readonly source: string;
  readonly force: boolean;
}

/** Reads a request that has this daemon receive a volume of a peer. */
function planPull(
  op: "PullVolume" | "MigrateVolume" | "FinishMigration",
  { peer, source, force, ...request }: PullRequest,
  pools: readonly PoolName[],
): Outcome<Routed> {
  return onNameExplained(pools, request, (resolved) => {
    if (peer === "") return need("peer", "a name of the configuration's peers");
    if (source === "") return need("source", "the volume of the peer, or a snapshot of it");
    const isMove = op !== "PullVolume";
    if (source.length > LONGEST_SOURCE || (isMove ? source.includes("@") : source.startsWith("@"))) {
      const wanted = isMove ? "the name of a volume" : "the name of a volume, or of a snapshot of one";
      return wrongField("source", source.slice(0, 64), wanted);
    }
    const target = ownVolume(resolved.pool, resolved);
    return target.ok ? succeed({ op, target: target.value, peer, source, force }) : target;
  });
}

function moveMethod(op: "MigrateVolume" | "FinishMigration"): Method {
  return destroying({
    struct: "PullRequest",
    request: struct({ ...pullFields, ...dryRunField }),
    operation: op,
    role: "operate",
    plan: (request, pools) => planPull(op, request, pools),
    encode: encodePulled,
  });
}

function encodeReplications(found: readonly ReplicationRecord[], mostBytes: number): string | undefined {
  const joined = joinWithin(found, (each) => JSON.stringify(each), mostBytes);
  return joined === undefined ? undefined : `{"replications":[${joined}]}`;
}

/** Methods that bring volumes from one daemon to another. */
export const transferMethods: readonly Method[] = [
  method({
    struct: "PlanRequest",
    request: struct({ ...fields, have: arrayOf(string), next: boolean }),
    operation: "GetSendPlan",
    role: "read",
    plan: ({ have, next, ...request }, pools) =>
      onName(pools, request, ({ dataset, snapshot }) => {
        const checked = checkGuids(have);
        if (!checked.ok) return checked;
        if (next && snapshot !== undefined)
          return wrongField("id", snapshot, "the name of a volume, for next");
        return succeed({ op: "GetSendPlan", name: snapshot ?? dataset, have, ...(next && { next }) });
      }),
    encode: encodePlan,
  }),
  methodOnNode({
    operation: "ListReplications",
    role: "read",
    struct: "ReplicationRequest",
    request: struct({ pool: string }),
    plan: () => succeed({ op: "ListReplications" }),
    encode: encodeReplications,
  }),
  destroying({
    struct: "PullRequest",
    request: struct({ ...pullFields, ...dryRunField }),
    operation: "PullVolume",
    role: "operate",
    plan: (request, pools) => planPull("PullVolume", request, pools),
    encode: encodePulled,
  }),
  moveMethod("MigrateVolume"),
  moveMethod("FinishMigration"),
  change({
    struct: "SnapshotRequest",
    request: struct({ ...fields, dest: string, ...termsFields }),
    operation: "FenceVolume",
    role: "operate",
    plan: ({ dest, ...request }, pools) =>
      onNameExplained(pools, request, (resolved) => {
        const name = ownVolume(resolved.pool, resolved);
        if (!name.ok) return name;
        if (dest === "") return failed.needSnapshotDest;
        const snapshot = snapshotOf(name.value, dest);
        return snapshot.ok
          ? succeed({ op: "FenceVolume", name: name.value, snapshot: snapshot.value })
          : snapshot;
      }),
    encode: encodeOneSnapshot,
  }),
  change({
    struct: "VolumeRequest",
    request: struct({ ...fields, ...termsFields }),
    operation: "UnfenceVolume",
    role: "operate",
    plan: (request, pools) =>
      onNameExplained(pools, request, (resolved) => {
        const name = ownVolume(resolved.pool, resolved);
        return name.ok ? succeed({ op: "UnfenceVolume", name: name.value }) : name;
      }),
    encode: encodeOneVolume,
  }),
  change({
    struct: "VolumeRequest",
    request: struct({ ...fields, ...termsFields }),
    operation: "AbandonReceive",
    role: "operate",
    plan: (request, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) =>
        snapshot === undefined ? succeed({ op: "AbandonReceive", name: dataset }) : failed.notVolume,
      ),
    encode: encodeOneVolume,
  }),
];
