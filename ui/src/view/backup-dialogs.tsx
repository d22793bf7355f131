import { useState } from "preact/hooks";
import type { Outcome } from "../api/client.ts";
import type { BackupRecord } from "../api/records.ts";
import { parseDays } from "../model/days.ts";
import { splitName, splitSnapshot } from "../model/names.ts";
import { bytesText, mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Check, Choice } from "../parts/choice.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";
import { type Preview, PreviewDialog } from "./preview-dialog.tsx";

interface BackUpProps {
  /** The store that is chosen at first. */
  readonly profile: string;
  /** "" where it is to be typed. */
  readonly snapshot: string;
}

export function BackUpDialog({ profile: first, snapshot }: BackUpProps) {
  const { actions, session, pool } = useStore();
  const { backups: profiles } = session.configured();
  const [profile, setProfile] = useState(first);
  const [name, setName] = useState(snapshot);
  const [isFull, setFull] = useState(false);
  const id = name.trim();

  function backUp(): Promise<boolean> {
    const words = { busy: `Backing ${id} up to ${profile}`, done: `${id} has a backup in ${profile}` };
    const params = { pool: pool.value, id, profile, ...(isFull ? { full: true } : {}) };
    return actions.changeAsJob("BackupSnapshot", params, words);
  }

  return (
    <Dialog title="Back up a snapshot" action="Back it up" isBlocked={!id.includes("@")} onAction={backUp}>
      {snapshot === "" ? (
        <Field
          label="Snapshot"
          value={name}
          onInput={setName}
          placeholder="guests/db/disk-0@monday"
          isFirst
        />
      ) : (
        <p>
          Of <span class="dataset">{snapshot}</span>.
        </p>
      )}
      {profiles.length > 1 && (
        <Choice label="Store" value={profile} values={profiles} onChange={setProfile} />
      )}
      <Check label="No increment of an earlier one: all of it" isChecked={isFull} onChange={setFull} />
    </Dialog>
  );
}

const kindOf = ({ from }: BackupRecord) => (from === null ? "full" : "increment");

interface RestoreProps {
  readonly profile: string;
  readonly backup: BackupRecord;
}

export function RestoreDialog({ profile, backup }: RestoreProps) {
  const { actions, session, pool } = useStore();
  const { snapshot, size, id } = backup;
  const { inPool } = splitName(splitSnapshot(snapshot).dataset);
  const [dest, setDest] = useState(`${inPool}-restored`);
  const name = dest.trim();

  const params = { pool: pool.value, profile, id, dest: name };

  function restore(): Promise<boolean> {
    const words = { busy: `Restoring ${snapshot} to ${name}`, done: `${name} is what ${snapshot} was` };
    return actions.changeAsJob("RestoreBackup", params, words);
  }

  /** Without reading the data: the restore itself does that first. */
  async function preview(): Promise<Outcome<Preview>> {
    const asked = { ...params, verify: "structure", dryRun: true };
    const answer = await session.client.call("RestoreBackup", asked);
    if (!answer.ok) return answer;
    const { volumes, backups = [], bytes = 0 } = answer.value;
    const links = backups.map(
      (link) => `Receive ${link.snapshot}, ${kindOf(link)}: ${bytesText(link.bytes)}`,
    );
    const made = volumes.map((each) => `Make ${each.id} of ${mibText(each.size)}, from ${bytesText(bytes)}`);
    return { ok: true, value: { does: [...links, ...made], goes: [] } };
  }

  return (
    <PreviewDialog
      title="Restore a backup"
      params={params}
      ask="Show what it would do"
      action="Restore it"
      noun="volumes or snapshots"
      isBlocked={name === ""}
      mayBeEmpty
      preview={preview}
      act={restore}
    >
      <p>
        A new volume of {mibText(size)} in {pool.value}, as <span class="dataset">{snapshot}</span> was. All
        that it needs is looked at first; if anything is missing or damaged, nothing is changed.
      </p>
      <Field label="Name of the new volume" value={dest} onInput={setDest} isFirst />
    </PreviewDialog>
  );
}

interface PruneProps {
  readonly profile: string;
  onPruned(): void;
}

const COUNT = /^\d{0,6}$/;

/** Removes old backups of the pool that is shown, after it has shown them. */
export function PruneBackupsDialog({ profile, onPruned }: PruneProps) {
  const { actions, session, pool } = useStore();
  const [last, setLast] = useState("14");
  const [days, setDays] = useState("30");
  const isWrong = !COUNT.test(last.trim());
  const dayProblem = days.trim() !== "" && !Number.isInteger(parseDays(days)) ? "A number, or nothing." : "";
  const [keepLast, keepDays] = [Number(last), parseDays(days) ?? 0];
  const params = { pool: pool.value, profile, keepLast, keepDays };

  return (
    <PreviewDialog
      title={`Prune the backups of ${pool.value} in ${profile}`}
      params={params}
      action="Remove them"
      noun="backups and leftovers"
      isBlocked={isWrong || dayProblem !== "" || keepLast + keepDays === 0}
      preview={async () => {
        const answer = await session.client.call("PruneBackups", { ...params, dryRun: true });
        if (!answer.ok) return answer;
        const { backups, leftovers } = answer.value;
        return { ok: true, value: { goes: [...backups.map(({ snapshot }) => snapshot), ...leftovers] } };
      }}
      act={async () => {
        const words = { busy: `Pruning the backups in ${profile}`, done: `Pruned the backups in ${profile}` };
        const answer = await actions.change("PruneBackups", params, words);
        onPruned();
        return answer.ok;
      }}
    >
      <p>What either rule keeps stays, and all that it builds on. The newest of each volume stays always.</p>
      <Field
        label="Keep so many of each volume"
        value={last}
        onInput={setLast}
        problem={isWrong ? "A number, or nothing." : ""}
        isFirst
      />
      <Field label="Keep those of so many days" value={days} onInput={setDays} problem={dayProblem} />
    </PreviewDialog>
  );
}
