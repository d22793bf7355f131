/** What a volume is for, as its name tells. */
export type VolumeKind = "image" | "guest" | "other";

/** `tank/guests/g1/disk-0`: its pool, and its name in that. */
export function splitName(id: string): { readonly pool: string; readonly inPool: string } {
  const slash = id.search(/[/@]/);
  return slash < 0
    ? { pool: id, inPool: "" }
    : { pool: id.slice(0, slash), inPool: id.slice(slash + (id[slash] === "/" ? 1 : 0)) };
}

/** `tank/v@s`: the dataset, and what is behind the `@`. */
export function splitSnapshot(id: string): { readonly dataset: string; readonly snapshot: string } {
  const at = id.indexOf("@");
  return at < 0 ? { dataset: id, snapshot: "" } : { dataset: id.slice(0, at), snapshot: id.slice(at + 1) };
}

export function kindOf(id: string): VolumeKind {
  const [folder, owner] = splitName(id).inPool.split("/");
  if (owner === undefined) return "other";
  return folder === "images" ? "image" : folder === "guests" ? "guest" : "other";
}

/** The guest that a volume is of; undefined if it is none's. */
export function guestOf(id: string): string | undefined {
  const [folder, guest] = splitName(id).inPool.split("/");
  return folder === "guests" ? guest : undefined;
}

/** Whether a dataset or snapshot is `root` or below it. */
export function isWithin(id: string, root: string): boolean {
  return id === root || id.startsWith(`${root}/`) || id.startsWith(`${root}@`);
}
