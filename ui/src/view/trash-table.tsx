import type { ImageRecord } from "../api/records.ts";
import { mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { Chip } from "../parts/chip.tsx";
import { TableBox } from "../parts/table-box.tsx";

const SHOWN = 200;

/** Images that were deleted while they had clones. Nothing is shown where there is none. */
export function TrashTable() {
  const { catalog, session } = useStore();
  const { rows } = catalog.trash.state.value;
  const mayRestore = session.can("admin");
  if (rows.length === 0) return null;
  return (
    <section aria-labelledby="trash-title">
      <h2 id="trash-title">Trash</h2>
      <p class="hint">
        No clone can be made of them, unless they are restored. Each goes with the last clone that it has.
      </p>
      <TableBox label="Images in the trash">
        <table>
          <thead>
            <tr>
              <th scope="col">Image</th>
              <th scope="col">Type</th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col">Status</th>
              <th scope="col">Volume</th>
              {mayRestore && (
                <th scope="col">
                  <span class="sr-only">Actions</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map((image) => (
              <TrashRow key={image.volume} image={image} mayRestore={mayRestore} />
            ))}
          </tbody>
        </table>
      </TableBox>
    </section>
  );
}

interface TrashRowProps {
  readonly image: ImageRecord;
  readonly mayRestore: boolean;
}

function TrashRow({ image: { id, type, size, status, volume }, mayRestore }: TrashRowProps) {
  const { actions, pool } = useStore();

  function restore(): void {
    const words = { busy: `Restoring the image ${id}`, done: `The image ${id} is back` };
    void actions.change("RestoreImage", { pool: pool.value, id, volume }, words);
  }

  return (
    <tr>
      <th scope="row">{id}</th>
      <td>{type}</td>
      <td class="number">{mibText(size)}</td>
      <td>
        <Chip tone="warn">{status}</Chip>
      </td>
      <td class="dataset">{volume}</td>
      {mayRestore && (
        <td class="actions">
          <Button icon="back" label={`Restore ${id}`} onClick={restore} />
        </td>
      )}
    </tr>
  );
}
