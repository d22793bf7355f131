import { type FailedOutcome, fail, failed, succeed, tellAbout } from "../../storage/failures.js";
import type { VolumeRecord } from "../../storage/records.js";
import { bytesFromMib, MAX_VOLUME_BYTES, mib, mibFromBytes } from "../../storage/units.js";
import type { VolumeSettings } from "../../storage/volume-settings.js";
import { joinWithin } from "../joined.js";
import { quote } from "../json-text.js";
import { string, struct, uint64 } from "../params.js";
import { dryRunField } from "./dry-run.js";
import { change, destroying, type Method, method } from "./method.js";
import { pageFields, pageOfNames } from "./paging.js";
import { inPool, onName, onNameExplained, resolveField } from "./routing.js";
import { newVolumeFields, readNewVolume, readTagFilter } from "./setting-fields.js";
import { termsFields } from "./terms.js";

const fields = { id: string, size: uint64, pool: string };
/** Bytes. */
const MIB = 1_048_576n;
const shape = { struct: "VolumeRequest", request: struct(fields) } as const;

function encodeSettings({
  compression,
  sync,
  readonly,
  isThick,
  volblocksize,
  tags,
}: VolumeSettings): string {
  const texts = Object.entries(tags).map(([name, value]) => `${quote(name)}:${quote(value)}`);
  const members = [
    `"compression":${quote(compression)},"sync":${quote(sync)},"readonly":${readonly}`,
    `"provisioning":"${isThick ? "thick" : "thin"}","volblocksize":${volblocksize},"tags":{${texts.join(",")}}`,
  ];
  return `,"properties":{${members.join(",")}}`;
}

function encodeVolume({ name, size, device, settings }: VolumeRecord): string {
  const properties = settings ? encodeSettings(settings) : "";
  return `{"id":${quote(name)},"size":${mibFromBytes(size)},"device":${quote(device)}${properties}}`;
}

/** The answer of a list. Undefined if it is longer than `mostBytes`, which is found out early. */
export function encodeVolumes(volumes: readonly VolumeRecord[], mostBytes: number): string | undefined {
  const joined = joinWithin(volumes, encodeVolume, mostBytes);
  return joined === undefined ? undefined : `{"volumes":[${joined}]}`;
}

/** The refusal of a size in bytes that no volume can have. */
export function tooLarge(field: string, size: bigint): FailedOutcome {
  const [wanted, found] = [MAX_VOLUME_BYTES, size].map((each) => `${each / MIB} MiB`);
  return tellAbout(failed.noSpace, { field, found, wanted: `at most ${wanted}` });
}

/** An answer that is one volume. */
export function encodeOneVolume(volume: VolumeRecord): string {
  return `{"volumes":[${encodeVolume(volume)}]}`;
}

export const volumeMethods: readonly Method[] = [
  method({
    struct: shape.struct,
    request: struct({ ...fields, ...pageFields, tag: string, origin: string }),
    operation: "ListVolumes",
    role: "read",
    plan: (request, pools) =>
      inPool(pools, request, (scope) => {
        const page = pageOfNames(scope, request);
        if (!page.ok) return page;
        const tag = readTagFilter(request.tag);
        if (!tag.ok) return tag;
        const origin =
          request.origin === "" ? succeed(undefined) : resolveField(scope, "origin", request.origin);
        if (!origin.ok) return origin;
        return succeed({
          op: "ListVolumes",
          ...page.value,
          ...(tag.value ? { tag: tag.value } : {}),
          ...(origin.value ? { origin: origin.value.snapshot ?? origin.value.dataset } : {}),
        });
      }),
    encode: encodeVolumes,
  }),
  change({
    struct: shape.struct,
    request: struct({ ...fields, ...newVolumeFields, ...termsFields }),
    operation: "CreateVolume",
    role: "operate",
    plan: (request, pools) => {
      if (request.size === 0n) return failed.needSize;
      return onNameExplained(pools, request, ({ dataset, snapshot }) => {
        if (snapshot !== undefined) {
          return fail("name.invalid", 'not a valid dataset: a volume\'s name has no "@"');
        }
        const size = bytesFromMib(mib(request.size));
        // No pool has room for more than a volume can have.
        if (size > MAX_VOLUME_BYTES) return tooLarge("size", size);
        const settings = readNewVolume(request);
        if (!settings.ok) return settings;
        return succeed({
          op: "CreateVolume",
          name: dataset,
          size,
          ...(settings.value ? { settings: settings.value } : {}),
        });
      });
    },
    encode: encodeOneVolume,
  }),
  method({
    ...shape,
    operation: "GetVolume",
    role: "read",
    plan: (request, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) =>
        snapshot === undefined ? succeed({ op: "GetVolume", name: dataset }) : failed.notVolume,
      ),
    encode: encodeOneVolume,
  }),
  destroying({
    ...shape,
    request: struct({ ...fields, ...dryRunField, ...termsFields }),
    operation: "DeleteDataset",
    role: "operate",
    plan: (request, pools) =>
      onName(pools, request, ({ pool, dataset, snapshot }) => {
        const isProtected = [pool, `${pool}/images`, `${pool}/guests`].includes(dataset);
        if (snapshot === undefined && isProtected) {
          return fail(
            "dataset.protected",
            `${dataset} can't be deleted: imagestore keeps its own data in it`,
          );
        }
        return succeed({ op: "DeleteDataset", name: snapshot ?? dataset });
      }),
    encode: encodeOneVolume,
  }),
];
