import type { OutsideChange } from "../../../protocol/storage/outside-change.js";
import { isOfReceive } from "../../../protocol/storage/partial-name.js";
import { isOfTrash } from "../../../protocol/storage/trash-name.js";
import type { SeenChange } from "../seen-changes.js";
import type { Zevent } from "./zevent-text.js";

/** About the pool: what an administrator wants to know of. The others come in hundreds, or tell nothing new. */
const POOL_CLASS =
  /^(?:sysevent\.fs\.zfs\.(pool_destroy|pool_export|pool_import|scrub_\w+|resilver_\w+|vdev_(?:add|attach|clear|remove|remove_aux|remove_dev|online))|resource\.fs\.zfs\.(statechange)|ereport\.fs\.zfs\.(io_failure))$/;

/** They have no events, whoever makes them. */
const UNTOLD: readonly string[] = ["hold", "release", "bookmark", "remove bookmark", "destroy begin"];

const CREATED: readonly string[] = ["create", "clone", "receive", "snapshot"];

/** Our own user properties; in the text of `set` and `inherit`. */
const OWN_PROPERTY = /^imagestore:/;

/** @returns undefined for what changes nothing that has events, and for events of other pools. */
export function seenChange(pool: string, event: Zevent): SeenChange | undefined {
  if (event.pool !== pool) return undefined;
  if (event.class === "sysevent.fs.zfs.history_event") return historyChange(pool, event);
  const what = POOL_CLASS.exec(event.class)?.slice(1).find(Boolean);
  if (what === undefined) return undefined;
  const detail = [event.members.get("vdev_path"), event.members.get("vdev_state")].filter(Boolean).join(" ");
  return ofPool(pool, what, detail || undefined);
}

function ofPool(pool: string, what: string, detail?: string): SeenChange {
  return { kind: "", name: pool, changes: [{ topic: "pool", action: "changed", id: pool, what, detail }] };
}

function historyChange(pool: string, { members }: Zevent): SeenChange | undefined {
  const name = members.get("history_dsname");
  const kind = members.get("history_internal_name") ?? "";
  const text = members.get("history_internal_str") ?? "";
  const isSetting = kind === "set" || kind === "inherit";
  if (UNTOLD.includes(kind) || (isSetting && OWN_PROPERTY.test(text))) return undefined;
  if (name === undefined || name === pool) return isSetting ? ofPool(pool, "properties") : undefined;
  if (isHidden(pool, name)) return undefined;
  const [dataset = "", hidden] = name.split("/%");
  if (hidden !== undefined) return swapped(pool, dataset, hidden, kind);
  if (kind === "create" && (name === `${pool}/images` || name === `${pool}/guests`)) return undefined;
  return { kind, name, changes: datasetChanges(pool, name, kind, text) };
}

/** A rollback and an incremental receive make a clone with a hidden name, and swap it with its parent. */
function swapped(pool: string, name: string, hidden: string, kind: string): SeenChange | undefined {
  if (kind !== "clone swap" || isHidden(pool, name)) return undefined;
  const isRollback = hidden.startsWith("rollback");
  const action = isRollback ? "rolled-back" : "changed";
  return {
    kind: isRollback ? "rollback" : "receive",
    name,
    changes: [{ topic: topicOf(pool, name), action, id: name }],
  };
}

function datasetChanges(pool: string, name: string, kind: string, text: string): OutsideChange[] {
  const change = (action: OutsideChange["action"], id = name): OutsideChange[] =>
    isHidden(pool, id) ? [] : [{ topic: topicOf(pool, id), action, id }];
  if (CREATED.includes(kind)) return change("created");
  if (kind === "destroy") return change("deleted");
  const [, target] = (kind === "rename" && /^-> (.+)$/.exec(text)) || [];
  if (target === undefined) return change("changed");
  const id = target.startsWith("@") ? `${name.split("@")[0]}${target}` : target;
  return [...change("deleted"), ...change("created", id)];
}

/** What an image fetch receives has such a name until it is complete, and an image that was deleted and has clones. */
function isHidden(pool: string, name: string): boolean {
  return name.startsWith(`${pool}/`) && (isOfReceive(name) || isOfTrash(name));
}

function topicOf(pool: string, name: string): OutsideChange["topic"] {
  if (name.includes("@")) return "snapshot";
  const [, room, , ...below] = name.slice(pool.length).split("/");
  const isTop = below.length === 0 && name !== `${pool}/${room}`;
  if (isTop && room === "images") return "image";
  return isTop && room === "guests" ? "guest" : "volume";
}
