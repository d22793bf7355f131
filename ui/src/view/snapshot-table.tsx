import type { SnapshotRecord } from "../api/records.ts";
import { splitSnapshot } from "../model/names.ts";
import { mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { TableBox } from "../parts/table-box.tsx";
import { BackUpDialog } from "./backup-dialogs.tsx";
import { DeleteSnapshotDialog } from "./delete-dialogs.tsx";
import { RollBackDialog } from "./snapshot-dialogs.tsx";
import { CloneSnapshotDialog } from "./volume-dialogs.tsx";

/** A table with more rows is slow to draw, and nobody reads it. */
const SHOWN = 500;

/** The snapshots of one volume, of those that the catalog has been told to show. */
export function SnapshotTable({ dataset }: { readonly dataset: string }) {
  const { catalog } = useStore();
  const { rows: all, isComplete, failure } = catalog.snapshots.state.value;
  const rows = all.filter(({ id }) => splitSnapshot(id).dataset === dataset);
  if (failure) return <p class="problem">{failure.message}</p>;
  if (rows.length === 0) return <p class="empty">{isComplete ? "It has no snapshot." : "…"}</p>;
  return (
    <TableBox label={`Snapshots of ${dataset}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Snapshot</th>
            <th scope="col" class="number">
              Written
            </th>
            <th scope="col">
              <span class="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, SHOWN).map((row) => (
            <SnapshotRow key={row.id} row={row} />
          ))}
        </tbody>
      </table>
      {rows.length > SHOWN && (
        <p class="hint">
          The first {SHOWN} of {rows.length} are shown.
        </p>
      )}
    </TableBox>
  );
}

function SnapshotRow({ row }: { readonly row: SnapshotRecord }) {
  const { session, dialog, downloads } = useStore();
  const { snapshot } = splitSnapshot(row.id);
  const [store] = session.configured().backups;
  return (
    <tr>
      <th scope="row" class="dataset">
        {snapshot}
      </th>
      <td class="number">{mibText(row.size)}</td>
      <td class="actions">
        <Button icon="download" label={`Download ${snapshot}`} onClick={() => void downloads.save(row.id)} />
        {session.can("operate") && (
          <>
            {store !== undefined && (
              <Button
                icon="backups"
                label={`Back up ${snapshot}`}
                onClick={() => (dialog.value = <BackUpDialog profile={store} snapshot={row.id} />)}
              />
            )}
            <Button
              icon="clone"
              label={`Clone ${snapshot}`}
              onClick={() => (dialog.value = <CloneSnapshotDialog snapshot={row.id} />)}
            />
            <Button
              icon="back"
              label={`Roll back to ${snapshot}`}
              onClick={() => (dialog.value = <RollBackDialog snapshot={row.id} />)}
            />
            <Button
              icon="remove"
              label={`Delete ${snapshot}`}
              onClick={() => (dialog.value = <DeleteSnapshotDialog snapshot={row.id} />)}
            />
          </>
        )}
      </td>
    </tr>
  );
}
