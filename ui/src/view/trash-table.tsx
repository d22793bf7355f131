import { mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Chip } from "../parts/chip.tsx";
import { TableBox } from "../parts/table-box.tsx";

const SHOWN = 200;

/** Images that were deleted while they had clones. Nothing is shown where there is none. */
export function TrashTable() {
  const { rows } = useStore().catalog.trash.state.value;
  if (rows.length === 0) return null;
  return (
    <section aria-labelledby="trash-title">
      <h2 id="trash-title">Trash</h2>
      <p class="hint">No clone can be made of them any more. Each goes with the last clone that it has.</p>
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
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map(({ id, type, size, status, volume }) => (
              <tr key={volume}>
                <th scope="row">{id}</th>
                <td>{type}</td>
                <td class="number">{mibText(size)}</td>
                <td>
                  <Chip tone="warn">{status}</Chip>
                </td>
                <td class="dataset">{volume}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </TableBox>
    </section>
  );
}
