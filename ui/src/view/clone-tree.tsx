import { useEffect, useState } from "preact/hooks";
import type { Outcome } from "../api/client.ts";
import type { VolumeRecord } from "../api/records.ts";
import { hrefOf } from "../model/route.ts";
import { mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { PromoteDialog } from "./volume-dialogs.tsx";

/** A branch with more is cut: nobody reads it. */
const SHOWN = 200;

interface CloneTreeProps {
  /** A snapshot, or a volume with any of its snapshots. */
  readonly origin: string;
  readonly label: string;
  /** Whether the clones may take over what they are made of. */
  readonly mayPromote?: boolean;
}

/** The clones of a snapshot or volume, and theirs, as a tree whose branches are asked for when they are opened. */
export function CloneTree({ origin, label, mayPromote = false }: CloneTreeProps) {
  const { session, catalog, pool } = useStore();
  const [answer, setAnswer] = useState<Outcome<readonly VolumeRecord[]> | undefined>(undefined);
  // A change of any volume may be one of these.
  const { rows } = catalog.volumes.state.value;
  useEffect(() => {
    let isCurrent = true;
    const page = { pool: pool.value, origin, limit: SHOWN + 1 };
    void session.client.call("ListVolumes", page).then((found) => {
      if (isCurrent) setAnswer(found.ok ? { ok: true, value: found.value.volumes } : found);
    });
    return () => {
      isCurrent = false;
    };
  }, [origin, rows]);

  if (!answer) return <p class="empty">…</p>;
  if (!answer.ok) return <p class="problem">{answer.failure.message}</p>;
  if (answer.value.length === 0) return <p class="empty">It has no clone.</p>;
  return (
    <ul class="tree" aria-label={label}>
      {answer.value.slice(0, SHOWN).map((volume) => (
        <Branch key={volume.id} volume={volume} mayPromote={mayPromote} />
      ))}
      {answer.value.length > SHOWN && <li class="hint">The first {SHOWN} are shown.</li>}
    </ul>
  );
}

function Branch({ volume, mayPromote }: { readonly volume: VolumeRecord; readonly mayPromote: boolean }) {
  const { session, dialog } = useStore();
  const [isOpen, setOpen] = useState(false);
  return (
    <li>
      <div class="branch">
        <Button
          icon={isOpen ? "opened" : "closed"}
          kind="quiet"
          label={`Clones of ${volume.id}`}
          expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        />
        <a class="dataset" href={hrefOf("volumes", volume.id)}>
          {volume.id}
        </a>
        <span class="row-size">{mibText(volume.size)}</span>
        {mayPromote && session.can("operate") && (
          <Button
            icon="promote"
            label={`Promote ${volume.id}`}
            onClick={() => (dialog.value = <PromoteDialog clone={volume.id} />)}
          />
        )}
      </div>
      {isOpen && <CloneTree origin={volume.id} label={`Clones of ${volume.id}`} mayPromote />}
    </li>
  );
}
