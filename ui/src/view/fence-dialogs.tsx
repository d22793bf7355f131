import { useState } from "preact/hooks";
import { useStore } from "../model/store.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";

export function FenceDialog({ volume }: { readonly volume: string }) {
  const { actions } = useStore();
  const [dest, setDest] = useState("fenced");

  async function fence(): Promise<boolean> {
    const words = { busy: `Fencing ${volume}`, done: `${volume} is fenced` };
    return (await actions.change("FenceVolume", { id: volume, dest: dest.trim() }, words)).ok;
  }

  return (
    <Dialog title="Fence" action="Fence it" isDangerous isBlocked={dest.trim() === ""} onAction={fence}>
      <p>
        From now on nothing may change <span class="dataset">{volume}</span>: its device is read-only. It gets
        a last snapshot.
      </p>
      <Field label="Name of the snapshot" value={dest} onInput={setDest} isFirst />
    </Dialog>
  );
}

export function UnfenceDialog({ volume }: { readonly volume: string }) {
  const { actions } = useStore();

  async function unfence(): Promise<boolean> {
    const words = { busy: `Taking the fence from ${volume}`, done: `${volume} can be changed again` };
    return (await actions.change("UnfenceVolume", { id: volume }, words)).ok;
  }

  return (
    <Dialog title="Take the fence away" action="Unfence it" isDangerous onAction={unfence}>
      <p>
        <span class="dataset">{volume}</span> becomes as writable as it was before.{" "}
        <strong>Make sure first that no copy of it is in use</strong>: two owners that both write are worse
        than none.
      </p>
    </Dialog>
  );
}
