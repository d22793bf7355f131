import { useEffect, useState } from "preact/hooks";
import type { ReplicationRecord } from "../api/records.ts";
import { agoMs, momentText } from "../model/days.ts";
import { type Replications, watchReplications } from "../model/replications.ts";
import { hrefOf } from "../model/route.ts";
import { bytesText, durationText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { Chip, type Tone } from "../parts/chip.tsx";
import { FilterField } from "../parts/filter-field.tsx";
import { TableBox } from "../parts/table-box.tsx";
import { ListStatus } from "./list-status.tsx";

/** A table with more rows is slow to draw: the filter finds the others. */
const SHOWN = 500;

/** The volumes that are pulled by a schedule, and how that goes. */
export function ReplicationView() {
  const { session } = useStore();
  const [found, setFound] = useState<Replications | undefined>(undefined);
  useEffect(() => {
    const watched = watchReplications(session.client);
    setFound(watched);
    return watched.stop;
  }, [session]);
  if (!found) return null;
  const { rows, isComplete } = found.state.value;
  if (isComplete && rows.length === 0) return <NothingPulled />;
  return <ReplicationTable found={found} />;
}

function NothingPulled() {
  const { peers } = useStore().session.configured();
  return (
    <p class="empty">
      {peers.length === 0
        ? "This daemon knows no other one: name them in peers of its configuration, and what is pulled from them in replication."
        : `Nothing is pulled by a schedule: name volumes of ${peers.join(", ")} in replication of the configuration.`}
    </p>
  );
}

function ReplicationTable({ found }: { readonly found: Replications }) {
  const [filter, setFilter] = useState("");
  const list = found.state.value;
  const wanted = filter.trim().toLowerCase();
  const rows = list.rows.filter(({ id, peer, source }) =>
    `${id} ${peer} ${source}`.toLowerCase().includes(wanted),
  );
  return (
    <>
      <div class="toolbar">
        <FilterField label="Filter by name or peer" value={filter} onInput={setFilter} />
        <ListStatus list={list} shown={rows.length} noun="replications" />
      </div>
      <TableBox label="Replications">
        <table>
          <thead>
            <tr>
              <th scope="col">Copy</th>
              <th scope="col">Source</th>
              <th scope="col">State</th>
              <th scope="col">Up to date</th>
              <th scope="col" class="number">
                Last bytes
              </th>
              <th scope="col">Next</th>
              <th scope="col">Failure</th>
              <th scope="col">
                <span class="sr-only">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map((row) => (
              <ReplicationRow key={`${row.id} ${row.peer} ${row.source}`} row={row} onAsked={found.poke} />
            ))}
          </tbody>
        </table>
      </TableBox>
    </>
  );
}

function stateOf({ state, failures, upToDateAt }: ReplicationRecord): [Tone, string] {
  if (state === "running") return ["info", "running"];
  if (failures > 0) return ["bad", "failing"];
  return upToDateAt === null ? ["plain", "waiting"] : ["good", "in order"];
}

interface ReplicationRowProps {
  readonly row: ReplicationRecord;
  onAsked(): void;
}

function ReplicationRow({ row, onAsked }: ReplicationRowProps) {
  const { session, actions } = useStore();
  const { id, pool, peer, source, schedule, upToDateAt, bytes, failures, failure, nextAt } = row;
  const [tone, state] = stateOf(row);

  async function pull(): Promise<void> {
    const words = { busy: `Pulling ${id}`, done: `${id} has what ${source} of ${peer} had` };
    await actions.changeAsJob("PullVolume", { pool, id, peer, source }, words);
    onAsked();
  }

  return (
    <tr>
      <th scope="row">
        <a href={hrefOf("volumes", id)}>{id}</a>
      </th>
      <td class="dataset">
        {peer}: {source}
      </td>
      <td>
        <Chip tone={tone}>{state}</Chip>
      </td>
      <td>
        {upToDateAt === null ? (
          "not since the daemon's start"
        ) : (
          <time dateTime={upToDateAt} title={momentText(upToDateAt)}>
            {durationText(agoMs(upToDateAt))} ago
          </time>
        )}
      </td>
      <td class="number">{bytes === null ? "" : bytesText(bytes)}</td>
      <td>
        {nextAt === null ? "never" : <time dateTime={nextAt}>{momentText(nextAt)}</time>}
        <span class="hint"> {schedule}</span>
      </td>
      <td>{failure && `${failures} in a row: ${failure.message}`}</td>
      <td class="actions">
        {session.can("operate") && (
          <Button icon="refresh" label={`Pull ${id} now`} onClick={() => void pull()} />
        )}
      </td>
    </tr>
  );
}
