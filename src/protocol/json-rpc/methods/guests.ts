import { fail, failed, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { childOf, type DatasetName, type PoolName, parseComponentId } from "../../storage/names.js";
import type { DiskRecord, GuestRecord, QuotaRecord } from "../../storage/records.js";
import { bytesFromMib, MAX_VOLUME_BYTES, mib, mibFromBytes } from "../../storage/units.js";
import { quote } from "../json-text.js";
import { arrayOf, type FieldType, mapOf, optional, string, struct, uint64 } from "../params.js";
import { dryRunField } from "./dry-run.js";
import { AFTER_DISKS, BEFORE_DISKS, encodeMembers, memberTypes } from "./guest-members.js";
import { change, destroying, type Method, method } from "./method.js";
import { inPool } from "./routing.js";
import { termsFields } from "./terms.js";
import { tooLarge } from "./volumes.js";

const disk = struct({
  bus: string,
  device: string,
  size: uint64,
  volume: string,
  image: string,
  source: string,
});

const guest = struct({ id: string, ...memberTypes, disks: arrayOf(disk) });
const fields = { guest: optional(guest), action: string, args: mapOf(string), pool: string };
const requestType = struct(fields);
const changeType = struct({ ...fields, ...termsFields });
const destroyingType = struct({ ...fields, ...dryRunField, ...termsFields });

type WireGuest = typeof guest extends FieldType<infer T> ? T : never;

function guestRecord(wire: WireGuest): GuestRecord {
  // A disk that is cloned from an image gets the image's size and not that of the request.
  const disks = wire.disks.map((each) => ({
    ...each,
    size: bytesFromMib(mib(each.image === "" ? each.size : 0n)),
  }));
  return { id: wire.id, disks, rest: encodeMembers(wire) };
}

/** Checks a guest without looking at the pool. Fails: request.invalid, name.invalid, pool.no_space. */
function checkGuest(wire: WireGuest | undefined, mostDisks: number | undefined): Outcome<GuestRecord> {
  const invalid = (field: string, wanted: string) => tellAbout(failed.invalidArgument, { field, wanted });
  if (wire === undefined) return invalid("guest", "a guest");
  if (wire.id === "") return invalid("guest.id", "the id of the guest");
  const id = parseComponentId(wire.id);
  if (!id.ok) return id;
  if (mostDisks === undefined) return succeed(guestRecord(wire));
  if (wire.disks.length === 0) return invalid("guest.disks", "one disk or more");
  if (wire.disks.length > mostDisks) {
    const most = `a guest may have at most ${mostDisks} disks (limits.disksPerGuest)`;
    return fail("request.invalid", `invalid argument: ${most}, got ${wire.disks.length}`);
  }
  const bare = wire.disks.findIndex((each) => each.image === "" && each.size === 0n);
  if (bare >= 0) return invalid(`guest.disks[${bare}]`, "an image, or a size of 1 MiB or more");
  const record = guestRecord(wire);
  // No pool has room for more than a volume can have.
  const huge = record.disks.findIndex((each) => each.size > MAX_VOLUME_BYTES);
  if (huge < 0) return succeed(record);
  return tooLarge(`guest.disks[${huge}].size`, record.disks[huge]?.size ?? MAX_VOLUME_BYTES);
}

function encodeDisk(record: DiskRecord): string {
  return `{"bus":${quote(record.bus)},"device":${quote(record.device)},"size":${mibFromBytes(record.size)},"volume":${quote(record.volume)},"image":${quote(record.image)},"source":${quote(record.source)}}`;
}

/** `keepEmptyDisks`: `disks` is written even if it is empty. */
function encodeGuest(record: GuestRecord, keepEmptyDisks: boolean): string {
  const member = (key: string) => (key in record.rest ? `,"${key}":${record.rest[key]}` : "");
  const disks =
    record.disks.length > 0 || keepEmptyDisks ? `,"disks":[${record.disks.map(encodeDisk).join(",")}]` : "";
  return `{"guest":{"id":${quote(record.id)}${BEFORE_DISKS.map(member).join("")}${disks}${AFTER_DISKS.map(member).join("")}}}`;
}

/** The dataset of a guest. Fails: request.missing_field, name.invalid. */
function guestRoot(pool: PoolName, guestId: string): Outcome<DatasetName> {
  if (guestId === "") return failed.needId;
  const id = parseComponentId(guestId);
  return id.ok ? succeed(childOf(pool, `guests/${id.value}`)) : id;
}

function encodeQuota({ name, quota, used }: QuotaRecord): string {
  return `{"quotas":[{"id":${quote(name)},"quota":${mibFromBytes(quota)},"used":${mibFromBytes(used)}}]}`;
}

interface GuestMethodOptions {
  readonly aliases?: readonly string[];
  /** A guest must have disks, at most so many, each with an image or a size. Undefined: they don't matter. */
  readonly mostDisks?: number;
  readonly keepEmptyDisks: boolean;
}

function guestMethod(
  operation: "VerifyDisks" | "CreateGuestDisks" | "DeleteGuestsDisks",
  { aliases = [], mostDisks, keepEmptyDisks }: GuestMethodOptions,
): Method {
  const row = {
    aliases,
    struct: "GuestRequest",
    plan: (
      request: { readonly guest: WireGuest | undefined; readonly pool: string },
      pools: readonly PoolName[],
    ) =>
      inPool(pools, request, () => {
        const checked = checkGuest(request.guest, mostDisks);
        return checked.ok ? succeed({ op: operation, guest: checked.value }) : checked;
      }),
    encode: (record: GuestRecord) => encodeGuest(record, keepEmptyDisks),
  };
  switch (operation) {
    case "VerifyDisks":
      return method({ ...row, operation, role: "read", request: requestType });
    case "CreateGuestDisks":
      return change({ ...row, operation, role: "operate", request: changeType });
    case "DeleteGuestsDisks":
      return destroying({ ...row, operation, role: "operate", request: destroyingType });
  }
}

/** `disksPerGuest`: how many disks a guest may ask for. */
export function guestMethods(disksPerGuest: number): readonly Method[] {
  const mostDisks = disksPerGuest;
  return [
    guestMethod("VerifyDisks", { mostDisks, keepEmptyDisks: false }),
    guestMethod("CreateGuestDisks", { mostDisks, keepEmptyDisks: false }),
    guestMethod("DeleteGuestsDisks", { aliases: ["DeleteGuestDisks"], keepEmptyDisks: true }),
    method({
      struct: "QuotaRequest",
      request: struct({ id: string, pool: string }),
      operation: "GetGuestQuota",
      role: "read",
      plan: (request, pools) =>
        inPool(pools, request, ({ pool }) => {
          const name = guestRoot(pool, request.id);
          return name.ok ? succeed({ op: "GetGuestQuota", name: name.value }) : name;
        }),
      encode: encodeQuota,
    }),
    change({
      struct: "QuotaRequest",
      request: struct({ id: string, quota: uint64, pool: string, ...termsFields }),
      operation: "SetGuestQuota",
      role: "admin",
      plan: (request, pools) =>
        inPool(pools, request, ({ pool }) => {
          const name = guestRoot(pool, request.id);
          if (!name.ok) return name;
          const quota = bytesFromMib(mib(request.quota));
          // No pool has so much.
          if (quota > MAX_VOLUME_BYTES) return tooLarge("quota", quota);
          return succeed({ op: "SetGuestQuota", name: name.value, quota });
        }),
      encode: encodeQuota,
    }),
  ];
}
