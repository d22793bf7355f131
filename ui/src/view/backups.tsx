import { useEffect, useState } from "preact/hooks";
import type { BackupRecord } from "../api/records.ts";
import { momentText } from "../model/days.ts";
import { bytesText, countText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { lookIntoStore, type StoredBackups } from "../model/stored-backups.ts";
import { Button } from "../parts/button.tsx";
import { Chip } from "../parts/chip.tsx";
import { FilterField } from "../parts/filter-field.tsx";
import { TableBox } from "../parts/table-box.tsx";
import { BackUpDialog, PruneBackupsDialog, RestoreDialog } from "./backup-dialogs.tsx";
import { ListStatus } from "./list-status.tsx";

/** A table with more rows is slow to draw: the filter finds the others. */
const SHOWN = 500;

/** What is in the object stores that the daemon knows. */
export function BackupsView() {
  const { backups: profiles } = useStore().session.configured();
  const [chosen, setChosen] = useState(profiles[0] ?? "");
  if (chosen === "")
    return (
      <p class="empty">
        This daemon knows no object store: give it one in backups of its configuration, with a bucket and
        files of keys.
      </p>
    );
  return (
    <>
      {profiles.length > 1 && (
        <fieldset class="choices">
          <legend class="sr-only">Store</legend>
          {profiles.map((each) => (
            <label key={each}>
              <input type="radio" name="store" checked={each === chosen} onChange={() => setChosen(each)} />
              <span>{each}</span>
            </label>
          ))}
        </fieldset>
      )}
      <Store key={chosen} profile={chosen} />
    </>
  );
}

function Store({ profile }: { readonly profile: string }) {
  const { session, jobs } = useStore();
  const [found, setFound] = useState<StoredBackups | undefined>(undefined);
  useEffect(() => {
    const looked = lookIntoStore(session.client, jobs, profile);
    setFound(looked);
    return looked.stop;
  }, [session, jobs, profile]);
  return found ? <BackupTable profile={profile} found={found} /> : null;
}

interface BackupTableProps {
  readonly profile: string;
  readonly found: StoredBackups;
}

function BackupTable({ profile, found }: BackupTableProps) {
  const [filter, setFilter] = useState("");
  const list = found.list.state.value;
  const wanted = filter.trim().toLowerCase();
  const newestFirst = [...list.rows].sort((a, b) => (a.taken < b.taken ? 1 : -1));
  const rows = newestFirst.filter(({ id, snapshot }) => `${id} ${snapshot}`.toLowerCase().includes(wanted));
  return (
    <>
      <div class="toolbar">
        <FilterField label="Filter by name" value={filter} onInput={setFilter} />
        <ListStatus list={list} shown={rows.length} noun="backups" />
        <span class="spacer" />
        <StoreActions profile={profile} onPruned={() => void found.list.load()} />
      </div>
      <Damaged ids={found.damaged.value} />
      {rows.length === 0 ? (
        <p class="empty">{list.isComplete ? "There is no such backup." : "…"}</p>
      ) : (
        <TableBox label={`Backups in ${profile}`}>
          <table>
            <thead>
              <tr>
                <th scope="col">Snapshot</th>
                <th scope="col">Kind</th>
                <th scope="col" class="number">
                  Bytes
                </th>
                <th scope="col">Taken</th>
                <th scope="col">Encrypted</th>
                <th scope="col">Chain</th>
                <th scope="col">
                  <span class="sr-only">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, SHOWN).map((row) => (
                <BackupRow key={row.id} profile={profile} backup={row} />
              ))}
            </tbody>
          </table>
        </TableBox>
      )}
    </>
  );
}

interface StoreActionsProps {
  readonly profile: string;
  onPruned(): void;
}

function StoreActions({ profile, onPruned }: StoreActionsProps) {
  const { session, dialog, actions } = useStore();
  if (!session.can("operate")) return null;
  const words = {
    busy: `Verifying all backups in ${profile}`,
    done: `All backups in ${profile} can be restored`,
  };
  return (
    <>
      <Button icon="verify" onClick={() => void actions.changeAsJob("VerifyBackup", { profile }, words)}>
        Verify all
      </Button>
      {session.can("admin") && (
        <Button
          icon="remove"
          onClick={() => (dialog.value = <PruneBackupsDialog profile={profile} onPruned={onPruned} />)}
        >
          Prune
        </Button>
      )}
      <Button
        kind="main"
        icon="add"
        onClick={() => (dialog.value = <BackUpDialog profile={profile} snapshot="" />)}
      >
        Back up a snapshot
      </Button>
    </>
  );
}

function Damaged({ ids }: { readonly ids: readonly string[] }) {
  if (ids.length === 0) return null;
  return (
    <section class="attention" aria-label="Damaged backups">
      <p>{countText(ids.length)} manifests can't be used:</p>
      <ul>
        {ids.slice(0, SHOWN).map((id) => (
          <li key={id} class="dataset">
            {id}
          </li>
        ))}
      </ul>
    </section>
  );
}

interface BackupRowProps {
  readonly profile: string;
  readonly backup: BackupRecord;
}

function BackupRow({ profile, backup }: BackupRowProps) {
  const { session, dialog, actions } = useStore();
  const { id, snapshot, from, bytes, taken, restorable, encrypted } = backup;
  const words = { busy: `Verifying ${snapshot}`, done: `The backup of ${snapshot} can be restored` };
  return (
    <tr>
      <th scope="row" class="dataset" title={id}>
        {snapshot}
      </th>
      <td>{from === null ? "full" : "increment"}</td>
      <td class="number">{bytesText(bytes)}</td>
      <td>
        <time dateTime={taken}>{momentText(taken)}</time>
      </td>
      <td>{encrypted ? "yes" : "no"}</td>
      <td>
        <Chip tone={restorable ? "good" : "bad"}>{restorable ? "whole" : "broken"}</Chip>
      </td>
      <td class="actions">
        {session.can("operate") && (
          <>
            <Button
              icon="verify"
              label={`Verify ${snapshot}`}
              onClick={() => void actions.changeAsJob("VerifyBackup", { profile, id }, words)}
            />
            {restorable && (
              <Button
                icon="back"
                label={`Restore ${snapshot}`}
                onClick={() => (dialog.value = <RestoreDialog profile={profile} backup={backup} />)}
              />
            )}
          </>
        )}
      </td>
    </tr>
  );
}
