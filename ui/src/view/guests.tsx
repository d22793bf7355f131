import { useMemo, useState } from "preact/hooks";
import type { VolumeRecord } from "../api/records.ts";
import { useGuestQuota } from "../model/guest-quota.ts";
import { guestOf, splitName } from "../model/names.ts";
import { hrefOf } from "../model/route.ts";
import { countText, mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { FilterField } from "../parts/filter-field.tsx";
import { VirtualList } from "../parts/virtual-list.tsx";
import { DeleteGuestDialog } from "./delete-dialogs.tsx";
import { ListStatus } from "./list-status.tsx";
import { QuotaDialog } from "./quota-dialog.tsx";
import { TakeSnapshotDialog } from "./snapshot-dialogs.tsx";
import { SnapshotTable } from "./snapshot-table.tsx";

interface Guest {
  /** `tank/guests/g1`. */
  readonly id: string;
  readonly name: string;
  readonly disks: readonly VolumeRecord[];
  /** MiB. */
  readonly size: number;
}

/** The guests whose disks are among the volumes. */
function guestsOf(volumes: readonly VolumeRecord[]): readonly Guest[] {
  const guests = new Map<string, VolumeRecord[]>();
  for (const volume of volumes) {
    const name = guestOf(volume.id);
    if (name === undefined) continue;
    const id = `${splitName(volume.id).pool}/guests/${name}`;
    const disks = guests.get(id);
    if (disks) disks.push(volume);
    else guests.set(id, [volume]);
  }
  return [...guests].map(([id, disks]) => ({
    id,
    name: id.slice(id.lastIndexOf("/") + 1),
    disks,
    size: disks.reduce((sum, { size }) => sum + size, 0),
  }));
}

export function GuestsView() {
  const { catalog, router } = useStore();
  const { selected } = router.route.value;
  const [filter, setFilter] = useState("");
  const { value: list } = catalog.volumes.state;
  const guests = useMemo(() => guestsOf(list.rows), [list.rows]);
  const wanted = filter.trim().toLowerCase();
  const rows = guests.filter(({ name }) => name.toLowerCase().includes(wanted));
  const guest = guests.find(({ id }) => id === selected);
  return (
    <div class={selected ? "split has-selection" : "split"}>
      <section class="list-side" aria-label="List of guests">
        <div class="toolbar">
          <FilterField label="Filter by name" value={filter} onInput={setFilter} />
          <ListStatus list={{ ...list, rows: guests }} shown={rows.length} noun="guests" />
        </div>
        <VirtualList
          label="Guests"
          rows={rows}
          selected={selected}
          onSelect={(id) => router.go("guests", id)}
        >
          {({ name, disks, size }) => (
            <>
              <span class="row-name">{name}</span>
              <span class="row-hint">
                {disks.length === 1 ? "1 disk" : `${countText(disks.length)} disks`}
              </span>
              <span class="row-size">{mibText(size)}</span>
            </>
          )}
        </VirtualList>
      </section>
      <section class="detail-side" aria-label="Selected guest">
        {guest ? (
          <GuestDetail guest={guest} />
        ) : (
          <p class="empty">
            {selected
              ? `${selected} has no disks (any more).`
              : guests.length > 0
                ? "Select a guest to see its disks and their snapshots."
                : "No guest has disks here."}
          </p>
        )}
      </section>
    </div>
  );
}

interface QuotaFactsProps {
  readonly guest: Guest;
  /** How often the quota was set here: then it is another one. */
  readonly timesSet: number;
}

/** What all disks of a guest may take together, with their snapshots, and take. */
function QuotaFacts({ guest: { id, disks, size }, timesSet }: QuotaFactsProps) {
  const found = useGuestQuota(id, `${timesSet} ${disks.length} ${size}`);
  if (!found) return null;
  return (
    <dl class="facts">
      <div>
        <dt>Quota</dt>
        <dd>{found.quota === 0 ? "none" : mibText(found.quota)}</dd>
      </div>
      <div>
        <dt>Used</dt>
        <dd>{mibText(found.used)}</dd>
      </div>
    </dl>
  );
}

function GuestDetail({ guest }: { readonly guest: Guest }) {
  const { session, dialog, node } = useStore();
  const { pool } = splitName(guest.id);
  // Pools in folders have no quotas.
  const hasQuota = node.pools.value.some(({ name, driver }) => name === pool && driver === "openzfs");
  const [timesSet, setTimesSet] = useState(0);
  const onSet = () => setTimesSet((times) => times + 1);
  return (
    <>
      <header class="detail-head">
        <a class="back" href={hrefOf("guests")}>
          All guests
        </a>
        <h2>{guest.name}</h2>
        {session.can("operate") && (
          <div class="detail-actions">
            <Button
              kind="main"
              icon="snapshot"
              onClick={() => (dialog.value = <TakeSnapshotDialog dataset={guest.id} isGuest />)}
            >
              Snapshot of all disks
            </Button>
            {hasQuota && session.can("admin") && (
              <Button
                icon="quota"
                onClick={() => (dialog.value = <QuotaDialog root={guest.id} onSet={onSet} />)}
              >
                Quota
              </Button>
            )}
            <Button
              kind="danger"
              icon="remove"
              onClick={() => (dialog.value = <DeleteGuestDialog root={guest.id} />)}
            >
              Delete disks
            </Button>
          </div>
        )}
      </header>
      {hasQuota && <QuotaFacts guest={guest} timesSet={timesSet} />}
      {guest.disks.map((disk) => (
        <section key={disk.id} class="disk" aria-label={`Disk ${disk.id}`}>
          <h3>
            <a href={hrefOf("volumes", disk.id)}>{disk.id.slice(guest.id.length + 1) || guest.name}</a>
            <span class="hint">{mibText(disk.size)}</span>
          </h3>
          <SnapshotTable dataset={disk.id} />
        </section>
      ))}
    </>
  );
}
