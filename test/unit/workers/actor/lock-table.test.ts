import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { failed, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { isRead } from "../../../../src/protocol/storage/operation-kinds.js";
import type { OperationName } from "../../../../src/protocol/storage/operations.js";
import { incomingOf } from "../../../../src/protocol/storage/partial-name.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import type { LockRequest } from "../../../../src/workers/actor/dataset-locks.js";
import {
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  POOL,
} from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";
import { mustSucceed as must } from "../../../support/outcomes.js";
import { startStandInPeer } from "../../../support/stand-in-peer.js";

/** Of the snapshot that a client sends. */
const GUID = "4242";
const SIZE = bytes(1_048_576);
const id = "ID" as ComponentId;
const dataset = `${POOL}/DATASET` as DatasetName;
const snapshot = `${dataset}@SNAPSHOT` as SnapshotName;
const target = `${POOL}/TARGET` as DatasetName;
const disk = { bus: "", device: "", size: SIZE, volume: "", image: "", source: "" };
const guest = { id: "GUEST", disks: [disk, { ...disk, image: id }], rest: {} };

/** An operation in a situation that decides which locks it takes. */
interface Case {
  readonly when: string;
  /** What must be in the pool before. Its locks don't count. */
  readonly given?: (actor: MemoryActor) => unknown;
  readonly run: (actor: MemoryActor) => Promise<unknown>;
}

const putDataset = ({ zfs }: MemoryActor) => {
  zfs.put(dataset, { type: "volume", volsize: SIZE });
  zfs.put(snapshot);
};
const bookmark = `${dataset}#BOOKMARK` as const;
const putBookmark = ({ handlers }: MemoryActor) =>
  must(handlers.CreateBookmark({ snapshot, name: bookmark }));
const putImage = ({ zfs }: MemoryActor) => {
  zfs.put(`${POOL}/images/${id}`, { type: "volume", volsize: SIZE });
  zfs.put(`${POOL}/images/${id}@SNAPSHOT`);
};
const backUp = ({ handlers }: MemoryActor) =>
  must(handlers.BackupSnapshot({ name: snapshot, profile: "store", full: false }));
const request = ({ handlers }: MemoryActor) => must(handlers.RequestImage({ id, type: "", source: "" }));

/** Every operation: a new one does not compile until it is here. */
const CASES: Record<OperationName, readonly Case[]> = {
  ListImages: [{ when: "", run: ({ handlers }) => must(handlers.ListImages({ type: "" })) }],
  GetImage: [{ when: "", given: request, run: ({ handlers }) => must(handlers.GetImage({ id })) }],
  RequestImage: [
    { when: "it has a record", given: request, run: request },
    { when: "found in the pool", given: putImage, run: request },
    { when: "transferred and published", run: request },
    {
      when: "transferred and published, onto an origin",
      given: ({ handlers }) =>
        must(handlers.RequestImage({ id: "ORIGIN" as ComponentId, type: "", source: "" })),
      run: ({ handlers }) =>
        must(handlers.RequestImage({ id, type: "", source: "", origin: { image: "ORIGIN" as ComponentId } })),
    },
    {
      when: "transferred, after a leftover of ours was removed",
      given: ({ zfs }) =>
        zfs.receive(
          `${POOL}/images/.partial-${id}` as DatasetName,
          { type: "volume", size: SIZE, snapshots: ["s"] },
          { "imagestore:fetch": "earlier" },
        ),
      run: request,
    },
  ],
  DeleteImage: [{ when: "", given: request, run: ({ handlers }) => must(handlers.DeleteImage({ id })) }],
  RestoreImage: [
    {
      when: "",
      given: async (actor) => {
        await request(actor);
        await must(actor.handlers.CloneImage({ id, target }));
        await must(actor.handlers.DeleteImage({ id, whenInUse: "trash" }));
      },
      run: ({ handlers }) => must(handlers.RestoreImage({ id })),
    },
  ],
  PruneImages: [
    {
      when: "each of those that are due",
      given: request,
      run: ({ handlers }) =>
        must(handlers.PruneImages({ olderThanSeconds: -1, unusedForSeconds: 0, type: "" })),
    },
  ],
  CloneImage: [
    { when: "", given: request, run: ({ handlers }) => must(handlers.CloneImage({ id, target })) },
  ],
  ListVolumes: [{ when: "", run: ({ handlers }) => must(handlers.ListVolumes({})) }],
  CreateVolume: [
    { when: "", run: ({ handlers }) => must(handlers.CreateVolume({ name: dataset, size: SIZE })) },
  ],
  GetVolume: [
    { when: "", given: putDataset, run: ({ handlers }) => must(handlers.GetVolume({ name: dataset })) },
  ],
  ResizeVolume: [
    {
      when: "",
      given: putDataset,
      run: ({ handlers }) =>
        must(handlers.ResizeVolume({ name: dataset, size: bytes(2n * SIZE), allowDataLoss: false })),
    },
  ],
  RenameVolume: [
    {
      when: "",
      given: putDataset,
      run: ({ handlers }) => must(handlers.RenameVolume({ name: dataset, target })),
    },
  ],
  PromoteVolume: [
    {
      when: "",
      given: (actor) => {
        putDataset(actor);
        actor.zfs.put(target, { type: "volume", volsize: SIZE, origin: snapshot });
      },
      run: ({ handlers }) => must(handlers.PromoteVolume({ name: target })),
    },
  ],
  CloneSnapshot: [
    {
      when: "",
      given: ({ zfs }) => {
        zfs.put(dataset, { type: "volume", volsize: SIZE });
        zfs.put(snapshot, { volsize: SIZE });
      },
      run: ({ handlers }) => must(handlers.CloneSnapshot({ name: snapshot, target })),
    },
  ],
  CopyVolume: [
    {
      when: "of a volume",
      given: putDataset,
      run: ({ handlers }) => must(handlers.CopyVolume({ name: dataset, target })),
    },
  ],
  SetVolume: [
    {
      when: "",
      given: putDataset,
      run: ({ handlers }) => must(handlers.SetVolume({ name: dataset, changes: { readonly: true } })),
    },
  ],
  GetVolumeProperties: [
    {
      when: "",
      given: putDataset,
      run: ({ handlers }) => must(handlers.GetVolumeProperties({ name: dataset })),
    },
  ],
  DeleteDataset: [
    {
      when: "a dataset",
      given: putDataset,
      run: ({ handlers }) => must(handlers.DeleteDataset({ name: dataset })),
    },
    {
      when: "a snapshot",
      given: putDataset,
      run: ({ handlers }) => must(handlers.DeleteDataset({ name: snapshot })),
    },
  ],
  ListSnapshots: [
    { when: "", given: putDataset, run: ({ handlers }) => must(handlers.ListSnapshots({ root: dataset })) },
  ],
  GetSnapshot: [
    { when: "", given: putDataset, run: ({ handlers }) => must(handlers.GetSnapshot({ name: snapshot })) },
  ],
  CreateSnapshot: [false, true].map((recursive) => ({
    when: recursive ? "recursive" : "",
    given: ({ zfs }) => zfs.put(dataset),
    run: ({ handlers }) => must(handlers.CreateSnapshot({ dataset, snapshot, recursive })),
  })),
  SnapshotGuest: [
    {
      when: "",
      given: ({ zfs }) => zfs.put(`${POOL}/guests/GUEST`),
      run: ({ handlers }) => {
        const guestRoot = `${POOL}/guests/GUEST` as DatasetName;
        const made = `${guestRoot}@SNAPSHOT` as SnapshotName;
        return must(handlers.SnapshotGuest({ dataset: guestRoot, snapshot: made }));
      },
    },
  ],
  DeleteSnapshot: [false, true].map((recursive) => ({
    when: recursive ? "recursive" : "",
    given: putDataset,
    run: ({ handlers }) => must(handlers.DeleteSnapshot({ name: snapshot, recursive })),
  })),
  RollbackSnapshot: [
    {
      when: "",
      given: putDataset,
      run: ({ handlers }) => must(handlers.RollbackSnapshot({ name: snapshot, destroyMoreRecent: true })),
    },
  ],
  CreateBookmark: [{ when: "", given: putDataset, run: putBookmark }],
  ListBookmarks: [
    { when: "", given: putDataset, run: ({ handlers }) => must(handlers.ListBookmarks({ root: dataset })) },
  ],
  DeleteBookmark: [
    {
      when: "",
      given: async (actor) => {
        putDataset(actor);
        await putBookmark(actor);
      },
      run: ({ handlers }) => must(handlers.DeleteBookmark({ dataset, name: bookmark })),
    },
  ],
  GetSendPlan: [
    {
      when: "",
      given: ({ zfs }) => {
        zfs.put(dataset, { type: "volume", volsize: SIZE });
        zfs.put(snapshot, { volsize: SIZE });
      },
      run: ({ handlers }) => must(handlers.GetSendPlan({ name: dataset, have: [] })),
    },
  ],
  PullVolume: [
    {
      when: "the first time",
      run: ({ handlers }) =>
        must(handlers.PullVolume({ target: dataset, peer: "peer", source: "disk", force: false })),
    },
  ],
  MigrateVolume: [
    {
      when: "",
      run: ({ handlers }) =>
        must(handlers.MigrateVolume({ target: dataset, peer: "peer", source: "disk", force: false })),
    },
  ],
  FinishMigration: [
    {
      when: "",
      run: ({ handlers }) =>
        must(handlers.FinishMigration({ target: dataset, peer: "peer", source: "disk", force: false })),
    },
  ],
  FenceVolume: [
    {
      when: "",
      given: ({ zfs }) => zfs.put(dataset, { type: "volume", volsize: SIZE }),
      run: ({ handlers }) => must(handlers.FenceVolume({ name: dataset, snapshot })),
    },
  ],
  UnfenceVolume: [
    {
      when: "",
      given: ({ zfs }) => zfs.put(dataset, { type: "volume", volsize: SIZE }),
      run: ({ handlers }) => must(handlers.UnfenceVolume({ name: dataset })),
    },
  ],
  ReceiveVolume: [
    {
      when: "a new volume",
      run: ({ handlers }) =>
        must(
          handlers.ReceiveVolume({
            target: dataset,
            stream: { toGuid: GUID, isResumed: false },
            body: 1,
            force: false,
          }),
        ),
    },
    {
      when: "one that is replaced",
      given: putDataset,
      run: ({ handlers }) =>
        must(
          handlers.ReceiveVolume({
            target: dataset,
            stream: { toGuid: GUID, isResumed: false },
            body: 1,
            force: true,
          }),
        ),
    },
    {
      when: "an increment, after a rollback",
      given: ({ zfs }) => {
        zfs.put(dataset, { type: "volume", volsize: SIZE });
        zfs.put(snapshot, { guid: "7" });
        zfs.put(`${dataset}@NEWER`);
      },
      run: ({ handlers }) =>
        must(
          handlers.ReceiveVolume({
            target: dataset,
            stream: { fromGuid: "7", toGuid: GUID, isResumed: false },
            body: 1,
            force: true,
          }),
        ),
    },
  ],
  GetReceive: [{ when: "", run: ({ handlers }) => must(handlers.GetReceive({ name: dataset })) }],
  AbandonReceive: [
    {
      when: "",
      given: ({ zfs }) =>
        zfs.receive(incomingOf(POOL, dataset), { type: "volume", size: SIZE, snapshots: [] }, {}),
      run: ({ handlers }) => must(handlers.AbandonReceive({ name: dataset })),
    },
  ],
  BackupSnapshot: [{ when: "", given: putDataset, run: backUp }],
  VerifyBackup: [
    {
      when: "",
      run: ({ handlers }) =>
        must(handlers.VerifyBackup({ profile: "store", backup: "", content: true, sight: {} })),
    },
  ],
  RestoreBackup: [
    {
      when: "",
      given: async (actor) => {
        putDataset(actor);
        await backUp(actor);
      },
      run: ({ handlers, zfs, store }) => {
        store.onReceive = ({ command: [, partial], manifest }) => {
          zfs.put(String(partial), { type: "volume", volsize: SIZE });
          zfs.put(`${partial}@SNAPSHOT`, { guid: manifest.guids.to });
        };
        const [backup = ""] = store.manifests.keys();
        return must(handlers.RestoreBackup({ profile: "store", backup, target, content: true, sight: {} }));
      },
    },
  ],
  PruneBackups: [
    {
      when: "",
      run: ({ handlers }) =>
        must(handlers.PruneBackups({ profile: "store", last: 1, sinceMs: 0, dryRun: false, sight: {} })),
    },
  ],
  VerifyDisks: [{ when: "", given: request, run: ({ handlers }) => must(handlers.VerifyDisks({ guest })) }],
  CreateGuestDisks: [
    {
      when: "an empty disk and a clone of an image",
      given: request,
      run: ({ handlers }) => must(handlers.CreateGuestDisks({ guest })),
    },
  ],
  DeleteGuestsDisks: [{ when: "", run: ({ handlers }) => must(handlers.DeleteGuestsDisks({ guest })) }],
  GetGuestQuota: [
    {
      when: "",
      run: ({ handlers }) => must(handlers.GetGuestQuota({ name: `${POOL}/guests/GUEST` as DatasetName })),
    },
  ],
  SetGuestQuota: [
    {
      when: "",
      run: ({ handlers }) =>
        must(handlers.SetGuestQuota({ name: `${POOL}/guests/GUEST` as DatasetName, quota: SIZE })),
    },
  ],
  GetPool: [{ when: "", run: ({ handlers }) => must(handlers.GetPool({})) }],
  DryRun: [
    {
      when: "of a deletion: those of the deletion",
      given: putDataset,
      run: ({ handlers }) => must(handlers.DryRun({ of: { op: "DeleteDataset", name: dataset } })),
    },
  ],
  Refuse: [
    {
      when: "",
      given: putDataset,
      run: ({ handlers }) => handlers.Refuse({ name: dataset, failure: failed.notSnapshot.failure }),
    },
  ],
  OpenSend: [
    { when: "", given: putDataset, run: ({ handlers }) => must(handlers.OpenSend({ name: snapshot })) },
  ],
  DescribeSend: [
    { when: "", given: putDataset, run: ({ handlers }) => must(handlers.DescribeSend({ name: snapshot })) },
  ],
  CloseSend: [
    {
      when: "",
      given: putDataset,
      run: ({ handlers }) => must(handlers.CloseSend({ name: snapshot, tag: "imagestore:x" })),
    },
  ],
};

let peer: Awaited<ReturnType<typeof startStandInPeer>>;
beforeAll(async () => {
  peer = await startStandInPeer();
});
afterAll(() => peer.close());

/** The locks of each `with` that the case calls, in order. */
async function locksOf({ given, run }: Case): Promise<string> {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["images", "guests"]) zfs.put(`${POOL}/${name}`);
  const taken: (readonly LockRequest[])[] = [];
  const actor = createMemoryActor(
    zfs,
    createMemoryRecords(),
    async (order) => {
      if (order.body === undefined) {
        zfs.receive(order.target, { type: "volume", size: SIZE, snapshots: ["s"] }, {});
      } else {
        if (!zfs.has(order.target)) zfs.put(order.target, { type: "volume", volsize: SIZE });
        zfs.put(`${order.target}@s`, { guid: GUID });
      }
      return succeed({ receivedBytes: 1, streamBytes: 1 });
    },
    undefined,
    (requests) => void taken.push(requests),
    { peer: { url: peer.url } },
  );
  await given?.(actor);
  taken.length = 0;
  await run(actor);
  if (taken.length === 0) return "none";
  const shown = (name: string) =>
    name
      .replace(POOL, "POOL")
      .replace(/(incoming|copy)-[0-9a-f]+/, "$1-HASH")
      .replace(/restore-run-1$/, "restore-RUN")
      .replace(/\.trash-\w+$/, ".trash-GUID");
  const text = (requests: readonly LockRequest[]) =>
    requests.map(({ name, mode }) => `\`${shown(name)}\` ${mode}`).join(" and ");
  return taken.map(text).join(", then ");
}

test("operations that only read take no lock, nor do the end of a download and what looks at a store alone, but for dry runs", async () => {
  const lockless = new Set<string>();
  for (const [operation, cases] of Object.entries(CASES)) {
    const locks = await Promise.all(cases.map(locksOf));
    if (locks.every((each) => each === "none")) lockless.add(operation);
  }
  const names = Object.keys(CASES) as OperationName[];
  const reads = names.filter((op) => isRead({ op }));
  const others = ["CloseSend", "VerifyBackup", "PruneBackups"];
  expect([...lockless]).toEqual(
    names.filter((op) => (reads.includes(op) && op !== "DryRun") || others.includes(op)),
  );
});

test("docs/architecture.md has the locks that each operation takes", async () => {
  const rows = ["| operation | case | locks |", "| --- | --- | --- |"];
  for (const [operation, cases] of Object.entries(CASES)) {
    for (const each of cases) rows.push(`| ${operation} | ${each.when} | ${await locksOf(each)} |`);
  }
  const page = readFileSync(new URL("../../../../docs/architecture.md", import.meta.url), "utf8");
  const table = /<!-- locks of each operation -->\n\n(.*?)\n\n<!-- end -->/s.exec(page)?.[1];
  expect(rows.join("\n"), "the page needs the rows that were received").toBe(table);
});
