import { quote } from "../json-text.js";
import { arrayOf, type FieldType, int64, mapOf, optional, string, struct, uint64 } from "../params.js";

/**
 * The members of a guest that storage has no use for. They are read and written as Go does with
 * the structs Guest and Nic. Source: client/guest.go of mistify-agent.
 */

const nic = struct({
  name: string,
  network: string,
  model: string,
  mac: string,
  address: string,
  netmask: string,
  gateway: string,
  device: string,
  vlans: optional(arrayOf(int64)),
});

type Nic = typeof nic extends FieldType<infer T> ? T : never;

/** The members that a nic's text has only if they are not empty. */
const OMITTED_IF_EMPTY: ReadonlySet<string> = new Set(["name", "mac", "device"]);

function encodeNic({ vlans, ...texts }: Nic): string {
  const members = Object.entries(texts)
    .filter(([key, value]) => value !== "" || !OMITTED_IF_EMPTY.has(key))
    .map(([key, value]) => `"${key}":${quote(value)}`);
  return `{${members.join(",")},"vlans":${vlans === undefined ? "null" : `[${vlans.join(",")}]`}}`;
}

/** A map as Go writes it: with its keys in the order of their bytes. */
function encodeMap(map: ReadonlyMap<string, string>): string {
  const entries = [...map].map(([key, value]) => ({ bytes: Buffer.from(key), key, value }));
  entries.sort((one, other) => Buffer.compare(one.bytes, other.bytes));
  return `{${entries.map(({ key, value }) => `${quote(key)}:${quote(value)}`).join(",")}}`;
}

/** In the order that replies have: before `disks`, and after. */
export const BEFORE_DISKS = ["type", "image", "nics"] as const;
export const AFTER_DISKS = ["state", "memory", "cpu", "vnc", "metadata"] as const;

export const memberTypes = {
  type: string,
  image: string,
  nics: arrayOf(nic),
  state: string,
  memory: uint64,
  cpu: uint64,
  vnc: int64,
  metadata: mapOf(string),
} as const;

type Members = {
  readonly [K in keyof typeof memberTypes]: (typeof memberTypes)[K] extends FieldType<infer T> ? T : never;
};

/** @returns the JSON texts of the members by their names, without those that are empty. */
export function encodeMembers(members: Members): Record<string, string> {
  const { type, image, nics, state, memory, cpu, vnc, metadata } = members;
  const texts: Record<string, string> = {};
  if (nics.length > 0) texts.nics = `[${nics.map(encodeNic).join(",")}]`;
  for (const [key, value] of Object.entries({ type, image, state })) {
    if (value !== "") texts[key] = quote(value);
  }
  for (const [key, value] of Object.entries({ memory, cpu, vnc })) {
    if (value !== 0n) texts[key] = String(value);
  }
  if (metadata.size > 0) texts.metadata = encodeMap(metadata);
  return texts;
}
