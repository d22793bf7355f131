import { fail, failed, type Outcome, succeed } from "../../storage/failures.js";
import { type DatasetName, isWithin, type PoolName } from "../../storage/names.js";
import { bytesFromMib, MAX_VOLUME_BYTES, mib } from "../../storage/units.js";
import { boolean, string, struct, uint64 } from "../params.js";
import { change, type Method, method } from "./method.js";
import { onNameExplained, refuse, resolveField } from "./routing.js";
import { readSettings, settingFields } from "./setting-fields.js";
import { termsFields } from "./terms.js";
import { encodeOneVolume, tooLarge } from "./volumes.js";

const fields = { id: string, pool: string };

/** The volume that a request means, which may be neither an image nor one of imagestore's own folders. */
export function ownVolume(
  pool: PoolName,
  { dataset, snapshot }: { readonly dataset: DatasetName; readonly snapshot?: string | undefined },
): Outcome<DatasetName> {
  if (snapshot !== undefined) return failed.notVolume;
  const isOurs = [pool, `${pool}/guests`].includes(dataset) || isWithin(dataset, `${pool}/images`);
  if (!isOurs) return succeed(dataset);
  return fail("dataset.protected", `${dataset} can't be changed: imagestore keeps its own data in it`);
}

/** The name that a volume is to get, in the same pool. Fails: request.missing_field, name.invalid, dataset.protected. */
export function newName(pools: readonly PoolName[], pool: PoolName, dest: string): Outcome<DatasetName> {
  if (dest === "") return failed.needDest;
  const name = resolveField({ pools, pool }, "dest", dest);
  if (!name.ok) return name;
  if (name.value.snapshot === undefined) return ownVolume(pool, name.value);
  return fail("name.invalid", 'not a valid dataset: dest names a snapshot ("@")');
}

/** Methods that change a volume which is there. */
export const volumeVerbs: readonly Method[] = [
  change({
    struct: "ResizeRequest",
    request: struct({ ...fields, size: uint64, allowDataLoss: boolean, ...termsFields }),
    operation: "ResizeVolume",
    role: "operate",
    plan: ({ size: asked, allowDataLoss, ...request }, pools) => {
      if (asked === 0n) return failed.needSize;
      return onNameExplained(pools, request, (resolved) => {
        const name = ownVolume(resolved.pool, resolved);
        if (!name.ok) return name;
        const size = bytesFromMib(mib(asked));
        if (size > MAX_VOLUME_BYTES) return tooLarge("size", size);
        return succeed({ op: "ResizeVolume", name: name.value, size, allowDataLoss });
      });
    },
    encode: encodeOneVolume,
  }),
  change({
    struct: "RenameRequest",
    request: struct({ ...fields, dest: string, ...termsFields }),
    operation: "RenameVolume",
    role: "operate",
    plan: ({ dest, ...request }, pools) =>
      onNameExplained(pools, request, (resolved) => {
        const name = ownVolume(resolved.pool, resolved);
        if (!name.ok) return name;
        const target = newName(pools, resolved.pool, dest);
        if (!target.ok) return target;
        return succeed({ op: "RenameVolume", name: name.value, target: target.value });
      }),
    encode: encodeOneVolume,
  }),
  change({
    struct: "PromoteRequest",
    request: struct({ ...fields, ...termsFields }),
    operation: "PromoteVolume",
    role: "operate",
    plan: (request, pools) =>
      onNameExplained(pools, request, (resolved) => {
        const name = ownVolume(resolved.pool, resolved);
        return name.ok ? succeed({ op: "PromoteVolume", name: name.value }) : name;
      }),
    encode: encodeOneVolume,
  }),
  change({
    struct: "CloneRequest",
    request: struct({ ...fields, dest: string, ...termsFields }),
    operation: "CloneSnapshot",
    role: "operate",
    plan: ({ dest, ...request }, pools) =>
      onNameExplained(pools, request, ({ pool, dataset, snapshot }) => {
        if (snapshot === undefined) return refuse(dataset, failed.notSnapshot);
        if (isWithin(dataset, `${pool}/images`)) {
          return fail("dataset.protected", `${snapshot} is of an image: CloneImage makes volumes of it`);
        }
        const target = newName(pools, pool, dest);
        return target.ok ? succeed({ op: "CloneSnapshot", name: snapshot, target: target.value }) : target;
      }),
    encode: encodeOneVolume,
  }),
  change({
    struct: "CopyRequest",
    request: struct({ ...fields, dest: string, ...termsFields }),
    operation: "CopyVolume",
    role: "operate",
    plan: ({ dest, ...request }, pools) =>
      onNameExplained(pools, request, ({ pool, dataset, snapshot }) => {
        const target = newName(pools, pool, dest);
        return target.ok
          ? succeed({ op: "CopyVolume", name: snapshot ?? dataset, target: target.value })
          : target;
      }),
    encode: encodeOneVolume,
  }),
  change({
    struct: "SetRequest",
    request: struct({ ...fields, ...settingFields, ...termsFields }),
    operation: "SetVolume",
    role: "operate",
    plan: (request, pools) =>
      onNameExplained(pools, request, (resolved) => {
        const name = ownVolume(resolved.pool, resolved);
        if (!name.ok) return name;
        const changes = readSettings(request);
        return changes.ok ? succeed({ op: "SetVolume", name: name.value, changes: changes.value }) : changes;
      }),
    encode: encodeOneVolume,
  }),
  method({
    struct: "VolumeRequest",
    request: struct(fields),
    operation: "GetVolumeProperties",
    role: "read",
    plan: (request, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) =>
        snapshot === undefined ? succeed({ op: "GetVolumeProperties", name: dataset }) : failed.notVolume,
      ),
    encode: encodeOneVolume,
  }),
];
