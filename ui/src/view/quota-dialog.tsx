import { useState } from "preact/hooks";
import { guestIdOf, useGuestQuota } from "../model/guest-quota.ts";
import { splitName } from "../model/names.ts";
import { mibText, parseSize } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";

interface QuotaDialogProps {
  /** Of a guest, `tank/guests/g1`. */
  readonly root: string;
  onSet(): void;
}

export function QuotaDialog({ root, onSet }: QuotaDialogProps) {
  const { actions, notes } = useStore();
  const [size, setSize] = useState("");
  const { pool } = splitName(root);
  const id = guestIdOf(root);
  const now = useGuestQuota(root, "");
  const isNone = size.trim() === "";
  const quota = isNone ? 0 : parseSize(size);

  async function limit(): Promise<boolean> {
    const done = isNone ? `${id} has no quota` : `${id} may take ${mibText(quota ?? 0)}`;
    const words = { busy: `Setting the quota of ${id}`, done };
    const answer = await actions.change("SetGuestQuota", { pool, id, quota }, words);
    const [set] = answer.ok ? answer.value.quotas : [];
    if (set) notes.tell("done", `${id} takes ${mibText(set.used)} now`);
    onSet();
    return answer.ok;
  }

  return (
    <Dialog title={`Quota of ${id}`} action="Set it" isBlocked={quota === undefined} onAction={limit}>
      <p>What all its disks may take together, with their snapshots. Where it is reached, writes fail.</p>
      {now && (
        <p role="status">
          Now it takes {mibText(now.used)}
          {now.quota === 0 ? ", without a limit." : ` of ${mibText(now.quota)}.`}
        </p>
      )}
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
