import {
  childOf,
  datasetOf,
  isSnapshotName,
  isWithin,
  type PoolName,
  tagOf,
} from "../../protocol/storage/names.js";
import type { Operation } from "../../protocol/storage/operations.js";
import { copyTagOf } from "../../protocol/storage/partial-name.js";

/** What an operation may change, as the kernel will tell it. Without `snapshots`: the datasets themselves. */
export interface Claim {
  readonly dataset: string;
  /** Of all below `dataset` too. */
  readonly isTree?: boolean;
  /** As SeenChange has them, the main one first. */
  readonly kinds: readonly string[];
  /** A tag: snapshots with that name. `all`: all snapshots; of a tree, the datasets too. */
  readonly snapshots?: { readonly tag: string } | "all";
  /** The name whose change of the main kind is the last one. Without it, nobody can tell which is. */
  readonly last?: string;
  /** The change will surely be told, if the operation succeeds. */
  readonly isSure?: boolean;
}

const SETTINGS: readonly string[] = ["set", "inherit"];

/** The parents that a new dataset may need. */
function parentsOf(name: string): Claim[] {
  const parts = name.split("/");
  return parts.slice(2).map((_, index) => {
    const dataset = parts.slice(0, index + 2).join("/");
    return { dataset, kinds: ["create"], last: dataset };
  });
}

function created(name: string, kind: "create" | "clone"): Claim[] {
  return [
    { dataset: name, kinds: [kind], last: name },
    { dataset: name, kinds: SETTINGS },
    ...parentsOf(name),
  ];
}

/** A thick volume gives back its reservation first. */
function destroyed(name: string): Claim {
  return { dataset: name, isTree: true, kinds: ["destroy", "set"], snapshots: "all", last: name };
}

/**
 * What main will tell of an operation if it succeeds, and what follows from that. What an image fetch changes is
 * told by nobody else: SeenChange has none of it.
 */
export function claimsOf(operation: Operation, pool: PoolName): readonly Claim[] {
  switch (operation.op) {
    case "CreateVolume":
      return created(operation.name, "create");
    case "CloneImage":
    case "CloneSnapshot":
      return created(operation.target, "clone");
    case "CopyVolume": {
      const dataset = isSnapshotName(operation.name) ? datasetOf(operation.name) : operation.name;
      const tag = copyTagOf(operation.target);
      return [
        { dataset, kinds: ["snapshot", "destroy"], snapshots: { tag } },
        ...parentsOf(operation.target),
      ];
    }
    case "ResizeVolume":
    case "SetVolume":
      return [{ dataset: operation.name, kinds: SETTINGS }];
    case "PromoteVolume":
      return [{ dataset: operation.name, kinds: ["promote"], last: operation.name }];
    case "RenameVolume": {
      const renamed = { dataset: operation.name, kinds: ["rename"], last: operation.name };
      return [renamed, ...parentsOf(operation.target)];
    }
    case "DeleteDataset":
      if (!isSnapshotName(operation.name)) return [destroyed(operation.name)];
      return [ofSnapshot(operation.name, "destroy")];
    case "CreateSnapshot":
      return [ofSnapshot(operation.snapshot, "snapshot", operation.recursive)];
    case "SnapshotGuest":
      return [ofSnapshot(operation.snapshot, "snapshot", true)];
    case "DeleteSnapshot":
      return [ofSnapshot(operation.name, "destroy", operation.recursive)];
    case "RollbackSnapshot": {
      const dataset = datasetOf(operation.name);
      return [
        { dataset, kinds: ["rollback"], last: dataset },
        { dataset, kinds: SETTINGS },
        { dataset, kinds: ["destroy"], snapshots: "all" },
      ];
    }
    case "CreateGuestDisks": {
      const kinds = ["create", "clone", "destroy", ...SETTINGS];
      return [{ dataset: childOf(pool, `guests/${operation.guest.id}`), isTree: true, kinds }];
    }
    case "DeleteGuestsDisks":
      return [destroyed(childOf(pool, `guests/${operation.guest.id}`))];
    case "SetGuestQuota":
      return [{ dataset: operation.name, kinds: ["create", ...SETTINGS] }];
    case "PruneImages":
      return [destroyed(childOf(pool, "images"))];
    case "DeleteImage": {
      const dataset = childOf(pool, `images/${operation.id}`);
      return [destroyed(dataset), { dataset, kinds: ["rename"], last: dataset }];
    }
    default:
      return [];
  }
}

function ofSnapshot(name: Parameters<typeof tagOf>[0], kind: "snapshot" | "destroy", isTree = false): Claim {
  const claim = { dataset: datasetOf(name), kinds: [kind], snapshots: { tag: tagOf(name) } };
  return isTree ? { ...claim, isTree } : { ...claim, last: name, isSure: true };
}

/** Whether a change of `kind` to `name` may be what was claimed. */
export function isClaimed(
  { dataset, isTree = false, kinds, snapshots }: Claim,
  kind: string,
  name: string,
): boolean {
  if (!kinds.includes(kind)) return false;
  const [base = "", tag] = name.split("@");
  if (base !== dataset && !(isTree && isWithin(base, dataset))) return false;
  if (tag === undefined) return snapshots === undefined || (snapshots === "all" && isTree);
  return snapshots === "all" || snapshots?.tag === tag;
}
