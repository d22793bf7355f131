import { useState } from "preact/hooks";
import { splitSnapshot } from "../model/names.ts";
import { useStore } from "../model/store.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";

const SNAPSHOT_NAME = /^[a-zA-Z0-9_\-:.]+$/;

/** A name that sorts by time: `2026-11-29_1415`. */
function nameOfNow(): string {
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  return `${date}_${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

interface TakeSnapshotProps {
  /** A volume, or a guest with all its disks. */
  readonly dataset: string;
  readonly isGuest?: boolean;
}

export function TakeSnapshotDialog({ dataset, isGuest = false }: TakeSnapshotProps) {
  const { actions } = useStore();
  const [name, setName] = useState(nameOfNow);
  const problem = SNAPSHOT_NAME.test(name) ? "" : "Letters, digits and _ - : . make a name.";

  async function take(): Promise<boolean> {
    const words = { busy: `Snapshot ${dataset}@${name}`, done: `Took ${dataset}@${name}` };
    const params = { id: dataset, dest: name, recursive: isGuest };
    return (await actions.change("CreateSnapshot", params, words)).ok;
  }

  return (
    <Dialog title="Take a snapshot" action="Take it" isBlocked={problem !== ""} onAction={take}>
      <p>
        Of <span class="dataset">{dataset}</span>
        {isGuest ? ", of all its disks at one moment." : "."}
      </p>
      <Field label="Name" value={name} onInput={setName} problem={problem} isFirst />
    </Dialog>
  );
}

/** What the daemon's refusal names: it knows which snapshots are newer, as their names may not tell. */
function newerIn(message: string): readonly string[] {
  return [...message.matchAll(/[^\s,:;]+@[^\s,:;]+/g)].map(([name]) => name);
}

/** Asks first whether newer snapshots are in the way. They go only after a second question, which names them. */
export function RollBackDialog({ snapshot }: { readonly snapshot: string }) {
  const { catalog, actions, notes } = useStore();
  const [newer, setNewer] = useState<readonly string[] | undefined>(undefined);
  const { dataset } = splitSnapshot(snapshot);

  async function rollBack(): Promise<boolean> {
    const words = { busy: `Rolling back to ${snapshot}`, done: `${dataset} is as it was at ${snapshot}` };
    const params = { id: snapshot, destroyMoreRecent: newer !== undefined };
    const answer = await actions.change("RollbackSnapshot", params, words);
    if (answer.ok || answer.failure.reason !== "snapshot.newer_exist") return answer.ok;
    // This refusal is a question.
    const told = notes.list.value.at(-1);
    if (told) notes.dismiss(told.id);
    const known = new Set(catalog.snapshots.state.value.rows.map(({ id }) => id));
    setNewer(newerIn(answer.failure.message).filter((id) => id !== snapshot && known.has(id)));
    return false;
  }

  return (
    <Dialog
      title={`Roll back to ${splitSnapshot(snapshot).snapshot}`}
      action={newer ? "Destroy them and roll back" : "Roll back"}
      isDangerous
      onAction={rollBack}
    >
      <p>
        <span class="dataset">{dataset}</span> becomes what it was at this snapshot.{" "}
        <strong>All that was written since then is lost.</strong>
      </p>
      {newer && (
        <div class="destroyed" role="alert">
          <p>
            <strong>These newer snapshots are destroyed with it:</strong>
          </p>
          <ul>
            {newer.map((id) => (
              <li key={id} class="dataset">
                {id}
              </li>
            ))}
          </ul>
        </div>
      )}
    </Dialog>
  );
}
