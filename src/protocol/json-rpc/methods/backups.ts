import { fail, failed, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { choosePool, type DatasetName, type PoolName } from "../../storage/names.js";
import { makePage } from "../../storage/page.js";
import type { BackupRecord, RestoredVolume } from "../../storage/records.js";
import { mibFromBytes } from "../../storage/units.js";
import { joinWithin } from "../joined.js";
import { boolean, string, struct, uint64 } from "../params.js";
import { change, type Method, methodOnNode } from "./method.js";
import { pageFields } from "./paging.js";
import { inPool, onNameExplained, refuse, resolveField } from "./routing.js";
import { termsFields } from "./terms.js";
import { newName } from "./volume-verbs.js";
import { encodeOneVolume } from "./volumes.js";

const DAY_MS = 24 * 60 * 60 * 1000;

const needProfile = tellAbout(fail("request.missing_field", "need a profile"), {
  field: "profile",
  wanted: "the name of a profile in backups of the configuration",
});
const needBackup = tellAbout(fail("request.missing_field", "need an id"), {
  field: "id",
  wanted: "the id of a backup, or the guid of its snapshot",
});

function encodeBackup({ volsize, isWhole, isEncrypted, ...backup }: BackupRecord): string {
  const { id, snapshot, guid, from, bytes, created, taken, sha256 } = backup;
  const shown = {
    id,
    snapshot,
    guid,
    from,
    bytes,
    size: Number(mibFromBytes(volsize)),
    created,
    taken,
    sha256,
  };
  return JSON.stringify({ ...shown, restorable: isWhole, encrypted: isEncrypted });
}

function encodeRestored({ chain, ...volume }: RestoredVolume, mostBytes: number): string | undefined {
  const text = encodeOneVolume(volume);
  if (!chain) return text;
  const links = encodeList(chain.backups, mostBytes);
  return links === undefined
    ? undefined
    : `${text.slice(0, -1)},"backups":[${links}],"bytes":${chain.bytes}}`;
}

const encodeList = (backups: readonly BackupRecord[], mostBytes: number) =>
  joinWithin(backups, encodeBackup, mostBytes);

/** Whether the data of backups is read, or only looked for. Fails: request.invalid. */
function readsContent(verify: string): Outcome<boolean> {
  if (verify === "" || verify === "content") return succeed(true);
  if (verify === "structure") return succeed(false);
  return tellAbout(fail("request.invalid", "not a way to verify"), {
    field: "verify",
    found: verify,
    wanted: "content or structure",
  });
}

/** A dataset by its name, relative to the pool or full; undefined for "". Fails: name.invalid. */
function datasetField(
  pools: readonly PoolName[],
  pool: PoolName,
  id: string,
): Outcome<DatasetName | undefined> {
  if (id === "") return succeed(undefined);
  const name = resolveField({ pools, pool }, "id", id);
  if (!name.ok) return name;
  return name.value.snapshot === undefined
    ? succeed(name.value.dataset)
    : fail("name.invalid", 'not a valid dataset: id names a snapshot ("@")');
}

/** Backups of snapshots in object stores. */
export const backupMethods: readonly Method[] = [
  change({
    struct: "BackupRequest",
    request: struct({ id: string, pool: string, profile: string, full: boolean, ...termsFields }),
    operation: "BackupSnapshot",
    role: "operate",
    plan: ({ profile, full, ...request }, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) => {
        if (snapshot === undefined) return refuse(dataset, failed.notSnapshot);
        if (profile === "") return refuse(snapshot, needProfile);
        return succeed({ op: "BackupSnapshot", name: snapshot, profile, full });
      }),
    encode: ({ backup, why, warnings }) =>
      `{"backups":[${encodeBackup(backup)}],"why":${JSON.stringify(why)},"warnings":${JSON.stringify(warnings)}}`,
  }),
  methodOnNode({
    operation: "ListBackups",
    role: "read",
    struct: "BackupRequest",
    request: struct({ profile: string, id: string, pool: string, ...pageFields }),
    plan: ({ profile, id, pool, ...page }, pools) => {
      if (profile === "") return needProfile;
      const scope = choosePool(pools, pool);
      if (!scope.ok) return scope;
      const dataset = datasetField(pools, scope.value.pool, id);
      if (!dataset.ok) return dataset;
      return succeed({ op: "ListBackups", profile, dataset: dataset.value ?? "", ...makePage(page) });
    },
    encode: ({ backups, damaged }, mostBytes) => {
      const joined = encodeList(backups, mostBytes);
      return joined === undefined
        ? undefined
        : `{"backups":[${joined}],"damaged":${JSON.stringify(damaged)}}`;
    },
  }),
  change({
    struct: "BackupRequest",
    request: struct({ profile: string, id: string, pool: string, verify: string, ...termsFields }),
    operation: "VerifyBackup",
    role: "operate",
    plan: ({ profile, id: backup, verify, ...request }, pools) => {
      if (profile === "") return needProfile;
      const content = readsContent(verify);
      if (!content.ok) return content;
      return inPool(pools, request, () =>
        succeed({ op: "VerifyBackup", profile, backup, content: content.value, sight: {} }),
      );
    },
    encode: ({ backups, bytes }, mostBytes) => {
      const joined = encodeList(backups, mostBytes);
      return joined === undefined ? undefined : `{"backups":[${joined}],"bytes":${bytes}}`;
    },
  }),
  change({
    struct: "RestoreRequest",
    request: struct({
      ...{ profile: string, id: string, dest: string, pool: string, verify: string, dryRun: boolean },
      ...termsFields,
    }),
    operation: "RestoreBackup",
    role: "operate",
    plan: ({ profile, id: backup, dest, verify, dryRun, ...request }, pools) => {
      if (profile === "") return needProfile;
      if (backup === "") return needBackup;
      const content = readsContent(verify);
      if (!content.ok) return content;
      if (dest === "") return failed.needDest;
      return onNameExplained(pools, { pool: request.pool, id: dest }, ({ pool }) => {
        const target = newName(pools, pool, dest);
        if (!target.ok) return target;
        const read = content.value;
        return succeed({
          op: "RestoreBackup",
          profile,
          backup,
          target: target.value,
          content: read,
          ...(dryRun && { dryRun }),
          sight: {},
        });
      });
    },
    encode: encodeRestored,
  }),
  change({
    struct: "PruneRequest",
    request: struct({
      ...{ profile: string, id: string, pool: string },
      ...{ keepLast: uint64, keepDays: uint64, dryRun: boolean },
      ...termsFields,
    }),
    operation: "PruneBackups",
    role: "admin",
    plan: ({ profile, id, keepLast, keepDays, dryRun, ...request }, pools) => {
      if (profile === "") return needProfile;
      if (keepLast === 0n && keepDays === 0n) {
        const wanted = "keepLast, keepDays or both";
        return tellAbout(fail("request.missing_field", "need what to keep"), { field: "keepLast", wanted });
      }
      return inPool(pools, request, ({ pool }) => {
        const dataset = datasetField(pools, pool, id);
        if (!dataset.ok) return dataset;
        const last = Number(keepLast);
        const sinceMs = keepDays === 0n ? Number.MAX_SAFE_INTEGER : Date.now() - Number(keepDays) * DAY_MS;
        const found = dataset.value;
        return succeed({
          ...{ op: "PruneBackups", profile, last, sinceMs, dryRun, sight: {} },
          ...(found !== undefined && { dataset: found }),
        });
      });
    },
    encode: ({ backups, leftovers, dryRun }, mostBytes) => {
      const joined = encodeList(backups, mostBytes);
      if (joined === undefined) return undefined;
      return `{"backups":[${joined}],"leftovers":${JSON.stringify(leftovers)},"dryRun":${dryRun}}`;
    },
  }),
];
