import { useEffect, useState } from "preact/hooks";
import type { ImageRecord, VolumeRecord } from "../api/records.ts";
import { isWithin, splitName } from "../model/names.ts";
import { countText, mibText } from "../model/sizes.ts";
import { type Store, useStore } from "../model/store.ts";
import { Check } from "../parts/choice.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { NameList } from "../parts/name-list.tsx";

/** What goes, shown before it goes. */
interface Doomed {
  readonly volumes: readonly string[];
  readonly snapshots: readonly string[];
}

const SHOWN = 12;
const MOST_COUNTED = 1_000;

/** What a recursive destroy of a dataset takes along, as the daemon tells it now. */
async function askDoomed({ session, catalog }: Store, root: string): Promise<Doomed> {
  const answer = await session.client.call("ListSnapshots", { id: root, limit: MOST_COUNTED });
  return {
    volumes: catalog.volumes.state.value.rows.map(({ id }) => id).filter((id) => isWithin(id, root)),
    snapshots: answer.ok ? answer.value.snapshots.map(({ id }) => id) : [],
  };
}

function Names({ title, names }: { readonly title: string; readonly names: readonly string[] }) {
  if (names.length === 0) return null;
  const many = names.length >= MOST_COUNTED ? `${countText(MOST_COUNTED)} or more` : countText(names.length);
  return (
    <>
      <p>
        <strong>
          {many} {title}
        </strong>
      </p>
      <NameList names={names} most={SHOWN} />
    </>
  );
}

/** All that is destroyed with a dataset. */
function Destroyed({ root, onKnown }: { readonly root: string; onKnown(): void }) {
  const store = useStore();
  const [doomed, setDoomed] = useState<Doomed | undefined>(undefined);
  useEffect(() => {
    void askDoomed(store, root).then((found) => {
      setDoomed(found);
      onKnown();
    });
  }, [root]);
  return (
    <div class="destroyed" role="status">
      {doomed ? (
        <>
          <Names title={doomed.volumes.length === 1 ? "volume" : "volumes"} names={doomed.volumes} />
          <Names title={doomed.snapshots.length === 1 ? "snapshot" : "snapshots"} names={doomed.snapshots} />
        </>
      ) : (
        "Looking what is there…"
      )}
    </div>
  );
}

export function DeleteVolumeDialog({ volume }: { readonly volume: VolumeRecord }) {
  const { actions, router } = useStore();
  const [isKnown, setKnown] = useState(false);

  async function remove(): Promise<boolean> {
    const words = { busy: `Deleting ${volume.id}`, done: `Deleted ${volume.id}` };
    const isDone = await actions.changeAsJob("DeleteDataset", { id: volume.id }, words);
    if (isDone) router.go("volumes");
    return isDone;
  }

  return (
    <Dialog title="Delete a volume" action="Delete it" isDangerous isBlocked={!isKnown} onAction={remove}>
      <p>
        <span class="dataset">{volume.id}</span>, {mibText(volume.size)}.{" "}
        <strong>This can't be taken back.</strong> Destroyed are:
      </p>
      <Destroyed root={volume.id} onKnown={() => setKnown(true)} />
    </Dialog>
  );
}

export function DeleteGuestDialog({ root }: { readonly root: string }) {
  const { actions, router } = useStore();
  const [isKnown, setKnown] = useState(false);
  const { pool, inPool } = splitName(root);
  const id = inPool.replace(/^guests\//, "");

  async function remove(): Promise<boolean> {
    const words = { busy: `Deleting the disks of ${id}`, done: `Deleted the disks of ${id}` };
    const isDone = await actions.changeAsJob("DeleteGuestsDisks", { pool, guest: { id } }, words);
    if (isDone) router.go("guests");
    return isDone;
  }

  return (
    <Dialog
      title={`Delete the disks of ${id}`}
      action="Delete them"
      isDangerous
      isBlocked={!isKnown}
      onAction={remove}
    >
      <p>
        <strong>This can't be taken back.</strong> Destroyed are:
      </p>
      <Destroyed root={root} onKnown={() => setKnown(true)} />
    </Dialog>
  );
}

export function DeleteSnapshotDialog({ snapshot }: { readonly snapshot: string }) {
  const { actions } = useStore();

  async function remove(): Promise<boolean> {
    const words = { busy: `Deleting ${snapshot}`, done: `Deleted ${snapshot}` };
    return (await actions.change("DeleteSnapshot", { id: snapshot }, words)).ok;
  }

  return (
    <Dialog title="Delete a snapshot" action="Delete it" isDangerous onAction={remove}>
      <p>
        <span class="dataset">{snapshot}</span> is destroyed. The volume stays as it is, but it can't be
        rolled back to this moment any more.
      </p>
    </Dialog>
  );
}

export function DeleteImageDialog({ image }: { readonly image: ImageRecord }) {
  const { actions, pool } = useStore();
  const [toTrash, setToTrash] = useState(false);

  async function remove(): Promise<boolean> {
    const words = { busy: `Deleting the image ${image.id}`, done: `Deleted the image ${image.id}` };
    const params = { pool: pool.value, id: image.id, whenInUse: toTrash ? "trash" : "refuse" };
    return (await actions.change("DeleteImage", params, words)).ok;
  }

  return (
    <Dialog title="Delete an image" action="Delete it" isDangerous onAction={remove}>
      <p>
        The image <strong>{image.id}</strong> is destroyed for all guests of this pool, with its volume{" "}
        <span class="dataset">{image.volume}</span> and its snapshot.{" "}
        {toTrash
          ? "While it has clones it is in the trash: its id is free, and its volume goes with the last of them."
          : "While it has clones, nothing happens, and they are named."}
      </p>
      <Check label="To the trash if it has clones" isChecked={toTrash} onChange={setToTrash} />
    </Dialog>
  );
}
