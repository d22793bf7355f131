import { useState } from "preact/hooks";
import type { VolumeRecord } from "../api/records.ts";
import { splitName, splitSnapshot } from "../model/names.ts";
import { mibText, parseSize } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";

/** A volume that shrinks loses what is behind its new end: the dialog says so, and asks the daemon for just that. */
export function ResizeDialog({ volume }: { readonly volume: VolumeRecord }) {
  const { actions } = useStore();
  const [size, setSize] = useState(`${volume.size}M`);
  const mib = parseSize(size);
  const shrinks = mib !== undefined && mib < volume.size;

  async function resize(): Promise<boolean> {
    const wanted = mibText(mib ?? 0);
    const words = { busy: `Resizing ${volume.id} to ${wanted}`, done: `${volume.id} has ${wanted}` };
    const params = { id: volume.id, size: mib, ...(shrinks ? { allowDataLoss: true } : {}) };
    return (await actions.change("ResizeVolume", params, words)).ok;
  }

  return (
    <Dialog
      title="Resize"
      action={shrinks ? "Shrink it" : "Resize it"}
      isDangerous={shrinks}
      isBlocked={mib === undefined || mib === volume.size}
      onAction={resize}
    >
      <p>
        <span class="dataset">{volume.id}</span> has {mibText(volume.size)}.
      </p>
      <Field
        label="New size"
        value={size}
        onInput={setSize}
        hint="512M, 10G or 2T, by powers of 1024."
        problem={mib === undefined ? "A size is 512M, 10G or 2T." : ""}
        isFirst
      />
      {shrinks && (
        <div class="destroyed" role="alert">
          <p>
            <strong>All that is behind the first {mibText(mib)} is lost.</strong>
          </p>
        </div>
      )}
    </Dialog>
  );
}

export function RenameDialog({ volume }: { readonly volume: VolumeRecord }) {
  const { actions, router } = useStore();
  const { pool, inPool } = splitName(volume.id);
  const [dest, setDest] = useState(inPool);
  const name = dest.trim();

  async function rename(): Promise<boolean> {
    const words = { busy: `Renaming ${volume.id} to ${name}`, done: `${volume.id} is ${pool}/${name} now` };
    const answer = await actions.change("RenameVolume", { pool, id: volume.id, dest: name }, words);
    const [renamed] = answer.ok ? answer.value.volumes : [];
    if (renamed) router.go("volumes", renamed.id);
    return answer.ok;
  }

  return (
    <Dialog title="Rename" action="Rename it" isBlocked={name === "" || name === inPool} onAction={rename}>
      <p>
        <span class="dataset">{volume.id}</span> keeps its data and its snapshots. Its device gets another
        name too.
      </p>
      <Field
        label="New name"
        value={dest}
        onInput={setDest}
        hint="Folders that are missing are made."
        isFirst
      />
    </Dialog>
  );
}

export function CloneSnapshotDialog({ snapshot }: { readonly snapshot: string }) {
  const { actions, router } = useStore();
  const [dest, setDest] = useState("");
  const { pool } = splitName(snapshot);

  async function clone(): Promise<boolean> {
    const name = dest.trim();
    const words = { busy: `Cloning ${snapshot} to ${name}`, done: `Cloned ${snapshot} to ${name}` };
    const answer = await actions.change("CloneSnapshot", { pool, id: snapshot, dest: name }, words);
    const [made] = answer.ok ? answer.value.volumes : [];
    if (made) router.go("volumes", made.id);
    return answer.ok;
  }

  return (
    <Dialog
      title={`Clone ${splitSnapshot(snapshot).snapshot}`}
      action="Clone it"
      isBlocked={dest.trim() === ""}
      onAction={clone}
    >
      <p>
        A new volume that begins as <span class="dataset">{snapshot}</span> and shares its data.
      </p>
      <Field
        label="Name of the clone"
        value={dest}
        onInput={setDest}
        placeholder="guests/db/disk-1"
        isFirst
      />
    </Dialog>
  );
}

export function PromoteDialog({ clone }: { readonly clone: string }) {
  const { actions } = useStore();

  async function promote(): Promise<boolean> {
    const words = { busy: `Promoting ${clone}`, done: `${clone} has the snapshots that it was made of` };
    return (await actions.change("PromoteVolume", { id: clone }, words)).ok;
  }

  return (
    <Dialog title="Promote a clone" action="Promote it" onAction={promote}>
      <p>
        <span class="dataset">{clone}</span> takes over the snapshot that it was made of, with those before
        it. The volume that has them now becomes the clone, and may then be deleted.
      </p>
    </Dialog>
  );
}
