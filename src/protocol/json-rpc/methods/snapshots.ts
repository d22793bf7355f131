import { failed, type Outcome, succeed } from "../../storage/failures.js";
import { childOf, type PoolName, parseComponentId, snapshotOf } from "../../storage/names.js";
import type { Ask, Operation } from "../../storage/operations.js";
import type { SnapshotRecord } from "../../storage/records.js";
import { mibFromBytes } from "../../storage/units.js";
import { joinWithin } from "../joined.js";
import { quote } from "../json-text.js";
import { boolean, readObject, string, struct } from "../params.js";
import { dryRunField } from "./dry-run.js";
import { change, destroying, type Method, method, type Routed } from "./method.js";
import { pageFields, pageOfNames } from "./paging.js";
import { inPool, onName, onNameExplained, onSnapshot, refuse } from "./routing.js";
import { type QueryField, readSendTerms } from "./send-query.js";
import { termsFields } from "./terms.js";

const fields = {
  id: string,
  dest: string,
  recursive: boolean,
  destroyMoreRecent: boolean,
  pool: string,
};
const requestType = struct(fields);
const shape = { struct: "SnapshotRequest", request: requestType } as const;
const changeShape = { ...shape, request: struct({ ...fields, ...termsFields }) } as const;
const destroyingShape = { ...shape, request: struct({ ...fields, ...dryRunField, ...termsFields }) } as const;

function encodeSnapshot(snapshot: SnapshotRecord): string {
  return `{"id":${quote(snapshot.name)},"size":${mibFromBytes(snapshot.written)}}`;
}

/** The answer of a list. Undefined if it is longer than `mostBytes`, which is found out early. */
export function encodeSnapshots(snapshots: readonly SnapshotRecord[], mostBytes: number): string | undefined {
  const joined = joinWithin(snapshots, encodeSnapshot, mostBytes);
  return joined === undefined ? undefined : `{"snapshots":[${joined}]}`;
}

/** An answer that is one snapshot. */
export const encodeOneSnapshot = (snapshot: SnapshotRecord) => `{"snapshots":[${encodeSnapshot(snapshot)}]}`;

export const snapshotMethods: readonly Method[] = [
  method({
    struct: shape.struct,
    request: struct({ ...fields, ...pageFields }),
    operation: "ListSnapshots",
    role: "read",
    aliases: ["ListSnapshot"],
    plan: (request, pools) => {
      const list = (root: Ask<"ListSnapshots">["root"], pool: PoolName): Outcome<Operation> => {
        const page = pageOfNames({ pools, pool }, request);
        return page.ok ? succeed({ op: "ListSnapshots", root, ...page.value }) : page;
      };
      return request.id === ""
        ? inPool(pools, request, ({ pool }) => list(pool, pool))
        : onName(pools, request, ({ pool, dataset, snapshot }) => list(snapshot ?? dataset, pool));
    },
    encode: encodeSnapshots,
  }),
  method({
    ...shape,
    operation: "GetSnapshot",
    role: "read",
    plan: (request, pools) => onSnapshot(pools, request, (name) => ({ op: "GetSnapshot", name })),
    encode: encodeOneSnapshot,
  }),
  change({
    ...changeShape,
    operation: "CreateSnapshot",
    role: "operate",
    plan: ({ dest, recursive, ...request }, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) => {
        const target = dest === "" ? failed.needSnapshotDest : snapshotOf(dataset, dest);
        if (!target.ok) return refuse(snapshot ?? dataset, target);
        if (snapshot !== undefined) return refuse(snapshot, failed.snapshotOfSnapshot);
        return succeed({ op: "CreateSnapshot", dataset, snapshot: target.value, recursive });
      }),
    encode: encodeSnapshots,
  }),
  change({
    struct: "GuestSnapshotRequest",
    request: struct({ id: string, dest: string, pool: string, ...termsFields }),
    operation: "SnapshotGuest",
    role: "operate",
    plan: (request, pools) =>
      inPool(pools, request, ({ pool }) => {
        if (request.id === "") return failed.needId;
        const id = parseComponentId(request.id);
        if (!id.ok) return id;
        const dataset = childOf(pool, `guests/${id.value}`);
        const snapshot = request.dest === "" ? failed.needSnapshotDest : snapshotOf(dataset, request.dest);
        if (!snapshot.ok) return refuse(dataset, snapshot);
        return succeed({ op: "SnapshotGuest", dataset, snapshot: snapshot.value });
      }),
    encode: encodeSnapshots,
  }),
  destroying({
    ...destroyingShape,
    operation: "DeleteSnapshot",
    role: "operate",
    plan: ({ recursive, ...request }, pools) =>
      onSnapshot(pools, request, (name) => ({ op: "DeleteSnapshot", name, recursive })),
    encode: encodeSnapshots,
  }),
  destroying({
    ...destroyingShape,
    operation: "RollbackSnapshot",
    role: "operate",
    plan: ({ destroyMoreRecent, ...request }, pools) =>
      onSnapshot(pools, request, (name) => ({ op: "RollbackSnapshot", name, destroyMoreRecent })),
    encode: encodeOneSnapshot,
  }),
];

/** The request of a download: a body that is a SnapshotRequest, or `id` and `pool` from the query. */
export type DownloadRequest = { readonly body: string } | { readonly id: string; readonly pool: string };

/** Plans a download; `field` gives what its query says of the stream. Fails as GetSnapshot and readSendTerms do. */
export function planDownload(
  request: DownloadRequest,
  pools: readonly PoolName[],
  field: QueryField = () => null,
): Outcome<Routed> {
  const read = "body" in request ? readObject(requestType, shape.struct, request.body) : succeed(request);
  if (!read.ok) return read;
  return onName(pools, read.value, ({ pool, dataset, snapshot }) => {
    if (snapshot === undefined) return refuse(dataset, failed.notSnapshot);
    const terms = readSendTerms(pools, pool, snapshot, field);
    if (!terms.ok) return terms;
    return succeed({ op: "OpenSend", name: snapshot, ...(terms.value && { terms: terms.value }) });
  });
}
