import { fail, failed, type Outcome, succeed } from "../../storage/failures.js";
import { type PoolName, snapshotOf } from "../../storage/names.js";
import type { SnapshotRecord } from "../../storage/records.js";
import { mibFromBytes } from "../../storage/units.js";
import { quote } from "../json-text.js";
import { boolean, readObject, string, struct } from "../params.js";
import { type Method, method, type Routed } from "./method.js";
import { inPool, onName, onNameExplained, onSnapshot } from "./routing.js";

const request = struct({
  id: string,
  dest: string,
  recursive: boolean,
  destroyMoreRecent: boolean,
  pool: string,
});
const shape = { struct: "SnapshotRequest", request } as const;

function encodeSnapshot(snapshot: SnapshotRecord): string {
  return `{"id":${quote(snapshot.name)},"size":${mibFromBytes(snapshot.written)}}`;
}

function encodeSnapshots(snapshots: readonly SnapshotRecord[]): string {
  return `{"snapshots":[${snapshots.map(encodeSnapshot).join(",")}]}`;
}

const encodeOne = (snapshot: SnapshotRecord) => encodeSnapshots([snapshot]);

export const snapshotMethods: readonly Method[] = [
  method({
    ...shape,
    operation: "ListSnapshots",
    aliases: ["ListSnapshot"],
    plan: (asked, pools) => {
      if (asked.id === "") {
        return inPool(pools, asked, (scope) => succeed({ op: "ListSnapshots", root: scope.pool }));
      }
      return onName(pools, asked, ({ dataset, snapshot }) =>
        snapshot === undefined
          ? succeed({ op: "ListSnapshots", root: dataset })
          : fail("name.invalid", "not a valid dataset", "snapshots have none"),
      );
    },
    encode: encodeSnapshots,
  }),
  method({
    ...shape,
    operation: "GetSnapshot",
    plan: (asked, pools) => onSnapshot(pools, asked, (name) => ({ op: "GetSnapshot", name })),
    encode: encodeOne,
  }),
  method({
    ...shape,
    operation: "CreateSnapshot",
    plan: ({ dest, recursive, ...asked }, pools) =>
      onNameExplained(pools, asked, ({ dataset, snapshot }) => {
        if (snapshot !== undefined) return failed.snapshotOfSnapshot;
        if (dest === "") return failed.needSnapshotDest;
        const target = snapshotOf(dataset, dest);
        if (!target.ok) return target;
        return succeed({ op: "CreateSnapshot", dataset, snapshot: target.value, recursive });
      }),
    encode: encodeSnapshots,
  }),
  method({
    ...shape,
    operation: "DeleteSnapshot",
    plan: ({ recursive, ...asked }, pools) =>
      onSnapshot(pools, asked, (name) => ({ op: "DeleteSnapshot", name, recursive })),
    encode: encodeSnapshots,
  }),
  method({
    ...shape,
    operation: "RollbackSnapshot",
    plan: ({ destroyMoreRecent, ...asked }, pools) =>
      onSnapshot(pools, asked, (name) => ({ op: "RollbackSnapshot", name, destroyMoreRecent })),
    encode: encodeOne,
  }),
];

/** What a download is asked for: a SnapshotRequest as a whole body, or `id` and `pool` of a query. */
export type DownloadRequest = { readonly body: string } | { readonly id: string; readonly pool: string };

/** Plans a download. Fails: as GetSnapshot does. */
export function planDownload(asked: DownloadRequest, pools: readonly PoolName[]): Outcome<Routed> {
  const read = "body" in asked ? readObject(request, shape.struct, asked.body) : succeed(asked);
  if (!read.ok) return read;
  return onSnapshot(pools, read.value, (name) => ({ op: "OpenSend", name }));
}
