import { useState } from "preact/hooks";
import type { ImageRecord } from "../api/records.ts";
import { mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";

export function RequestImageDialog() {
  const { actions, pool } = useStore();
  const [id, setId] = useState("");
  const [type, setType] = useState("");
  const [source, setSource] = useState("");
  const [origin, setOrigin] = useState("");

  function request(): boolean {
    const words = { busy: `Requesting the image ${id}`, done: `The image ${id} is there` };
    const from = { source: source.trim(), origin: origin.trim() };
    const params = { pool: pool.value, id: id.trim(), type: type.trim(), ...from };
    // It takes as long as the image: the dialog does not wait for it.
    void actions.changeAsJob("RequestImage", params, words);
    return true;
  }

  return (
    <Dialog title="Request an image" action="Request it" isBlocked={id.trim() === ""} onAction={request}>
      <p>The daemon fetches it into {pool.value}, from the image service of its configuration.</p>
      <Field label="Image" value={id} onInput={setId} placeholder="debian-13" isFirst />
      <Field label="Type" value={type} onInput={setType} placeholder="kvm" hint="Any word; may be empty." />
      <Field
        label="Source"
        value={source}
        onInput={setSource}
        placeholder="http://images.example/debian-13.zfs"
        hint="Another address, where imageSources allows its host; may be empty."
      />
      <Field
        label="Origin"
        value={origin}
        onInput={setOrigin}
        placeholder="debian-13"
        hint="Of a layered image: the one that it builds on; else empty."
      />
    </Dialog>
  );
}

export function CloneImageDialog({ image }: { readonly image: ImageRecord }) {
  const { actions, pool, router } = useStore();
  const [dest, setDest] = useState("");

  async function clone(): Promise<boolean> {
    const words = { busy: `Cloning ${image.id} to ${dest}`, done: `Cloned ${image.id} to ${dest}` };
    const params = { pool: pool.value, id: image.id, dest: dest.trim() };
    const answer = await actions.change("CloneImage", params, words);
    const [made] = answer.ok ? answer.value.volumes : [];
    if (made) router.go("volumes", made.id);
    return answer.ok;
  }

  return (
    <Dialog title={`Clone ${image.id}`} action="Clone it" isBlocked={dest.trim() === ""} onAction={clone}>
      <p>A new volume of {mibText(image.size)}, which shares its data with the image.</p>
      <Field
        label="Name of the clone"
        value={dest}
        onInput={setDest}
        placeholder="guests/db/disk-0"
        isFirst
      />
    </Dialog>
  );
}
