import { parseQemuJson } from "../../../protocol/raw-disk/qemu-json.js";

/** What `qemu-img info --output=json` says of a disk. */
interface QemuInfo {
  readonly virtualBytes: number;
  readonly encrypted: boolean;
  /** The names of files that have a part of its data, or may: the file itself is often one. */
  readonly files: readonly string[];
}

/** A member of a JSON object; undefined where there is none, or no object. */
function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(name);
}

/** @returns undefined where the text is something else. Source: ImageInfo in qapi/block-core.json of QEMU. */
export function parseQemuInfo(text: string): QemuInfo | undefined {
  const info = parseQemuJson(text);
  const virtualBytes = member(info, "virtual-size");
  if (typeof virtualBytes !== "number") return undefined;
  const specific = member(member(info, "format-specific"), "data");
  const extents = member(specific, "extents");
  const named = [
    member(info, "backing-filename"),
    member(info, "full-backing-filename"),
    member(specific, "data-file"),
    ...(Array.isArray(extents) ? extents.map((extent) => member(extent, "filename")) : []),
  ];
  return {
    virtualBytes,
    encrypted: member(info, "encrypted") === true,
    files: named.filter((name) => typeof name === "string"),
  };
}

/** The files besides `path` itself that a disk needs. */
export function otherFilesOf({ files }: QemuInfo, path: string): readonly string[] {
  return files.filter((name) => name !== path);
}
