import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { mebibytes, object, oneOf, record, text, texts } from "./json-schema.js";
import { termsParams } from "./terms-params.js";

const params = {
  guest: required(record("GuestInput")),
  action: optional(text("Of no use: clients of mistify-agent send it.")),
  args: optional(texts("Of no use: clients of mistify-agent send it.")),
  pool,
};
const guest = object({ guest: record("Guest") });
const asked = { id: "g1", disks: [{ image: "golden" }, { size: 2048 }] };
const disks: readonly object[] = [
  { bus: "", device: "", size: 10240, volume: "", image: "golden", source: "" },
  { bus: "", device: "", size: 2048, volume: "", image: "", source: "" },
];
const madeDisks = disks.map((each, index) => ({
  ...each,
  volume: `tank/guests/g1/disk-${index}`,
  source: `/dev/zvol/tank/guests/g1/disk-${index}`,
}));
const ofItsDisks = {
  "request.invalid":
    "`invalid argument`: no guest, no id, no disks, a disk with neither image nor size, or too many disks",
  "name.invalid": "the id is no component of a name",
  "image.not_found": "`not found`",
  "dataset.busy": "an image is being fetched",
  "dataset.exists": "what has a disk's name is no volume",
  "pool.no_space": "`no space left on device`",
} as const;

export const GUEST_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  VerifyDisks: {
    summary: "Tells whether a pool has room for the disks of a guest, and fills in the sizes of images",
    params,
    result: guest,
    effect: "read",
    answeredBy: "pool",
    failures: { ...ofItsDisks, "dataset.not_found": "`POOL/guests` is gone" },
    since: "0.1.0",
    examples: [
      { name: "an image and 2 GiB", params: { guest: asked }, result: { guest: { id: "g1", disks } } },
    ],
  },
  CreateGuestDisks: {
    summary: "Makes the disks of a guest, all of them or none",
    description:
      "Disks are `guests/ID/disk-N`, clones of images or new volumes, at most `limits.disksPerGuest`. Those that are there are kept, so that a repeat is a success.",
    params: { ...params, ...termsParams },
    result: guest,
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      ...ofItsDisks,
      "dataset.not_found": "an image was destroyed meanwhile",
      "dataset.wrong_type": "the guest's own name is a volume",
    },
    since: "0.1.0",
    examples: [
      {
        name: "an image and 2 GiB",
        params: { guest: asked },
        result: { guest: { id: "g1", disks: madeDisks } },
      },
    ],
  },
  DeleteGuestsDisks: {
    summary: "Deletes the disks of a guest, with their snapshots",
    description: "A guest without disks is a success.",
    params: { ...params, ...dryRunParam, ...termsParams },
    result: destroyingResult({ guest: record("Guest") }),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.invalid": "`invalid argument`: no guest, or no id",
      "name.invalid": "the id is no component of a name",
      "dataset.busy": "a disk is in use",
      "dataset.has_clones": "others are cloned from a disk: they are named",
      "snapshot.held": "a download of a snapshot of a disk runs, or somebody else holds one",
    },
    since: "0.1.0",
    examples: [
      { name: "by its id", params: { guest: { id: "g1" } }, result: { guest: { id: "g1", disks: [] } } },
    ],
  },
  GetGuestQuota: {
    summary: "Tells what the disks of a guest may take, with their snapshots, and what they take",
    description: "A guest without disks takes nothing. In an embedded pool no guest has a quota.",
    params: { id: required(text("The guest's id.")), pool },
    result: object({ quotas: oneOf(record("Quota")) }),
    effect: "read",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "name.invalid": "the id is no component of a name",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a guest",
        params: { id: "g1" },
        result: { quotas: [{ id: "tank/guests/g1", quota: 102400, used: 12288 }] },
      },
    ],
  },
  SetGuestQuota: {
    summary: "Limits what the disks of a guest may take, with their snapshots",
    description:
      "It is the `quota` of `POOL/guests/ID`, which is made if it is missing, and goes with DeleteGuestsDisks. Where it is reached, writes of the guest fail. An embedded pool has no such limit.",
    params: {
      id: required(text("The guest's id.")),
      quota: optional(mebibytes("0, or no quota, removes it.")),
      pool,
      ...termsParams,
    },
    result: object({ quotas: oneOf(record("Quota")) }),
    effect: "repeatable",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "name.invalid": "the id is no component of a name",
      "request.invalid": "the guest takes more than that, or the pool is an embedded one",
      "dataset.wrong_type": "the guest's own name is a volume",
      "pool.no_space": "`no space left on device`: more than any pool can have",
    },
    since: "0.1.0",
    examples: [
      {
        name: "100 GiB",
        params: { id: "g1", quota: 102400 },
        result: { quotas: [{ id: "tank/guests/g1", quota: 102400, used: 12288 }] },
      },
    ],
  },
};
