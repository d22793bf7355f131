import { useState } from "preact/hooks";
import type { ImageRecord } from "../api/records.ts";
import { hrefOf } from "../model/route.ts";
import { mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { Chip } from "../parts/chip.tsx";
import { FilterField } from "../parts/filter-field.tsx";
import { TableBox } from "../parts/table-box.tsx";
import { CloneTree } from "./clone-tree.tsx";
import { DeleteImageDialog } from "./delete-dialogs.tsx";
import { CloneImageDialog, RequestImageDialog } from "./image-dialogs.tsx";
import { JobTable } from "./job-table.tsx";
import { ListStatus } from "./list-status.tsx";
import { PruneImagesDialog } from "./prune-images-dialog.tsx";
import { TrashTable } from "./trash-table.tsx";

/** A table with more rows is slow to draw: the filter finds the others. */
const SHOWN = 500;
const COLUMNS = 6;

export function ImagesView() {
  const { catalog, session, dialog, jobs } = useStore();
  const [filter, setFilter] = useState("");
  const { value: list } = catalog.images.state;
  const wanted = filter.trim().toLowerCase();
  const rows = list.rows.filter(({ id, type }) => `${id} ${type}`.toLowerCase().includes(wanted));
  const fetches = jobs.running.value.filter(({ method }) => method === "RequestImage");
  return (
    <>
      <div class="toolbar">
        <FilterField label="Filter by name or type" value={filter} onInput={setFilter} />
        <ListStatus list={list} shown={rows.length} noun="images" />
        <span class="spacer" />
        {session.can("admin") && (
          <Button icon="remove" onClick={() => (dialog.value = <PruneImagesDialog />)}>
            Prune
          </Button>
        )}
        {session.can("operate") && (
          <Button kind="main" icon="add" onClick={() => (dialog.value = <RequestImageDialog />)}>
            Request an image
          </Button>
        )}
      </div>
      {fetches.length > 0 && <JobTable jobs={fetches} />}
      {rows.length === 0 ? (
        <p class="empty">{list.isComplete ? "There is no such image." : "…"}</p>
      ) : (
        <TableBox label="Images">
          <table>
            <thead>
              <tr>
                <th scope="col">Image</th>
                <th scope="col">Type</th>
                <th scope="col" class="number">
                  Size
                </th>
                <th scope="col">Status</th>
                <th scope="col">Snapshot that is cloned</th>
                <th scope="col">
                  <span class="sr-only">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.slice(0, SHOWN).map((image) => (
                <ImageRows key={image.id} image={image} />
              ))}
            </tbody>
          </table>
        </TableBox>
      )}
      <TrashTable />
    </>
  );
}

/** An image, and below it its clones when they are asked for. */
function ImageRows({ image }: { readonly image: ImageRecord }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <ImageRow image={image} isOpen={isOpen} onToggle={() => setOpen(!isOpen)} />
      {isOpen && image.volume && (
        <tr>
          <td class="nested" colSpan={COLUMNS}>
            <CloneTree origin={image.volume} label={`Clones of ${image.id}`} />
          </td>
        </tr>
      )}
    </>
  );
}

interface ImageRowProps {
  readonly image: ImageRecord;
  /** Whether its clones are shown. */
  readonly isOpen: boolean;
  onToggle(): void;
}

function ImageRow({ image, isOpen, onToggle }: ImageRowProps) {
  const { session, dialog } = useStore();
  const isComplete = image.status === "complete";
  return (
    <tr>
      <th scope="row">
        {image.volume && (
          <Button
            icon={isOpen ? "opened" : "closed"}
            kind="quiet"
            label={`Clones of ${image.id}`}
            expanded={isOpen}
            onClick={onToggle}
          />
        )}
        {image.volume ? <a href={hrefOf("volumes", image.volume)}>{image.id}</a> : image.id}
      </th>
      <td>{image.type}</td>
      <td class="number">{isComplete ? mibText(image.size) : ""}</td>
      <td>
        <Chip tone={isComplete ? "good" : "info"}>{image.status}</Chip>
      </td>
      <td class="dataset">
        {image.snapshot}
        {image.origin && <div>on {image.origin}</div>}
      </td>
      <td class="actions">
        {isComplete && session.can("operate") && (
          <Button
            icon="clone"
            label={`Clone ${image.id}`}
            onClick={() => (dialog.value = <CloneImageDialog image={image} />)}
          />
        )}
        {session.can("admin") && (
          <Button
            icon="remove"
            label={`Delete ${image.id}`}
            onClick={() => (dialog.value = <DeleteImageDialog image={image} />)}
          />
        )}
      </td>
    </tr>
  );
}
