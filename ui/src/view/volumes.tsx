import { useState } from "preact/hooks";
import type { VolumeRecord } from "../api/records.ts";
import { guestOf, kindOf, splitName, type VolumeKind } from "../model/names.ts";
import type { ListState } from "../model/paged-list.ts";
import { hrefOf } from "../model/route.ts";
import { mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { Chip } from "../parts/chip.tsx";
import { FilterField } from "../parts/filter-field.tsx";
import { VirtualList } from "../parts/virtual-list.tsx";
import { CloneTree } from "./clone-tree.tsx";
import { PullDialog } from "./copy-dialogs.tsx";
import { CreateVolumeDialog } from "./create-volume-dialog.tsx";
import { ListStatus } from "./list-status.tsx";
import { SnapshotTable } from "./snapshot-table.tsx";
import { VolumeActions } from "./volume-actions.tsx";

const KINDS: readonly (readonly [VolumeKind | "all", string])[] = [
  ["all", "All"],
  ["guest", "Guests"],
  ["image", "Images"],
  ["other", "Others"],
];

/** Every volume of the pool, and the one that is selected. */
export function VolumesView() {
  const { catalog, router, session, dialog } = useStore();
  const { selected } = router.route.value;
  const [filter, setFilter] = useState("");
  const [kind, setKind] = useState<VolumeKind | "all">("all");
  const { value: list } = catalog.volumes.state;
  const wanted = filter.trim().toLowerCase();
  const rows = list.rows.filter(
    ({ id }) => id.toLowerCase().includes(wanted) && (kind === "all" || kindOf(id) === kind),
  );
  const fenced = new Set(catalog.fenced.state.value.rows.map(({ id }) => id));
  const volume = list.rows.find(({ id }) => id === selected);
  return (
    <div class={selected ? "split has-selection" : "split"}>
      <section class="list-side" aria-label="List of volumes">
        <div class="toolbar">
          <FilterField label="Filter by name" value={filter} onInput={setFilter} />
          {session.can("operate") && session.configured().peers.length > 0 && (
            <Button
              icon="replication"
              label="Bring a volume here from a peer"
              onClick={() => (dialog.value = <PullDialog />)}
            />
          )}
          {session.can("operate") && (
            <Button kind="main" icon="add" onClick={() => (dialog.value = <CreateVolumeDialog />)}>
              New volume
            </Button>
          )}
        </div>
        <fieldset class="choices">
          <legend class="sr-only">Kind</legend>
          {KINDS.map(([each, text]) => (
            <label key={each}>
              <input type="radio" name="kind" checked={kind === each} onChange={() => setKind(each)} />
              <span>{text}</span>
            </label>
          ))}
          <span class="spacer" />
          <ListStatus list={list} shown={rows.length} noun="volumes" />
        </fieldset>
        <VirtualList
          label="Volumes"
          rows={rows}
          selected={selected}
          onSelect={(id) => router.go("volumes", id)}
        >
          {(row) => <VolumeRow volume={row} isFenced={fenced.has(row.id)} />}
        </VirtualList>
      </section>
      <section class="detail-side" aria-label="Selected volume">
        {volume ? (
          <VolumeDetail volume={volume} isFenced={fenced.has(volume.id)} />
        ) : (
          <NothingSelected selected={selected} list={list} />
        )}
      </section>
    </div>
  );
}

function VolumeRow({ volume: { id, size }, isFenced }: VolumeDetailProps) {
  const { inPool } = splitName(id);
  const slash = inPool.lastIndexOf("/") + 1;
  return (
    <>
      <span class="row-name" title={id}>
        <span class="row-folder">{inPool.slice(0, slash)}</span>
        {inPool.slice(slash)}
      </span>
      {isFenced && <Chip tone="warn">fenced</Chip>}
      <span class="row-size">{mibText(size)}</span>
    </>
  );
}

interface NothingSelectedProps {
  readonly selected: string;
  readonly list: ListState<VolumeRecord>;
}

function NothingSelected({ selected, list: { rows, isComplete } }: NothingSelectedProps) {
  if (!isComplete) return <p class="empty">…</p>;
  if (selected) return <p class="empty">{selected} is not there (any more).</p>;
  return (
    <p class="empty">
      {rows.length > 0 ? "Select a volume to see its snapshots." : "There is no volume yet."}
    </p>
  );
}

interface VolumeDetailProps {
  readonly volume: VolumeRecord;
  readonly isFenced: boolean;
}

function VolumeDetail({ volume, isFenced }: VolumeDetailProps) {
  const { pool } = splitName(volume.id);
  const guest = guestOf(volume.id);
  const kind = kindOf(volume.id);
  return (
    <>
      <header class="detail-head">
        <a class="back" href={hrefOf("volumes")}>
          All volumes
        </a>
        <h2>{volume.id}</h2>
        {isFenced && <Chip tone="warn">fenced</Chip>}
        <VolumeActions volume={volume} isFenced={isFenced} />
      </header>
      <dl class="facts">
        <div>
          <dt>Size</dt>
          <dd>{mibText(volume.size)}</dd>
        </div>
        <div>
          <dt>Device</dt>
          <dd class="dataset">{volume.device}</dd>
        </div>
        {guest !== undefined && (
          <div>
            <dt>Guest</dt>
            <dd>
              <a href={hrefOf("guests", `${pool}/guests/${guest}`)}>{guest}</a>
            </dd>
          </div>
        )}
      </dl>
      <h3>Snapshots</h3>
      <SnapshotTable dataset={volume.id} />
      <h3>Clones</h3>
      <CloneTree origin={volume.id} label={`Clones of ${volume.id}`} mayPromote={kind !== "image"} />
    </>
  );
}
