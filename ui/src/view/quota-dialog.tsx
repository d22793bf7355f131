import { useState } from "preact/hooks";
import { splitName } from "../model/names.ts";
import { mibText, parseSize } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";

/** @param root - of a guest, `tank/guests/g1` */
export function QuotaDialog({ root }: { readonly root: string }) {
  const { actions, notes } = useStore();
  const [size, setSize] = useState("");
  const { pool, inPool } = splitName(root);
  const id = inPool.replace(/^guests\//, "");
  const isNone = size.trim() === "";
  const quota = isNone ? 0 : parseSize(size);

  async function limit(): Promise<boolean> {
    const done = isNone ? `${id} has no quota` : `${id} may take ${mibText(quota ?? 0)}`;
    const words = { busy: `Setting the quota of ${id}`, done };
    const answer = await actions.change("SetGuestQuota", { pool, id, quota }, words);
    const [set] = answer.ok ? answer.value.quotas : [];
    if (set) notes.tell("done", `${id} takes ${mibText(set.used)} now`);
    return answer.ok;
  }

  return (
    <Dialog title={`Quota of ${id}`} action="Set it" isBlocked={quota === undefined} onAction={limit}>
      <p>What all its disks may take together, with their snapshots. Where it is reached, writes fail.</p>
      <Field
        label="Quota"
        value={size}
        onInput={setSize}
        hint="512M, 10G or 2T; empty for no limit."
        problem={quota === undefined ? "A size is 512M, 10G or 2T." : ""}
        isFirst
      />
    </Dialog>
  );
}
