import { useState } from "preact/hooks";
import { mibText, parseSize } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";

export function CreateVolumeDialog() {
  const { actions, pool, router } = useStore();
  const [name, setName] = useState("");
  const [size, setSize] = useState("10G");
  const mib = parseSize(size);

  async function create(): Promise<boolean> {
    const words = { busy: `Creating ${name}`, done: `Created ${name}, ${mibText(mib ?? 0)}` };
    const answer = await actions.change(
      "CreateVolume",
      { pool: pool.value, id: name.trim(), size: mib },
      words,
    );
    const [made] = answer.ok ? answer.value.volumes : [];
    if (made) router.go("volumes", made.id);
    return answer.ok;
  }

  return (
    <Dialog
      title={`New volume in ${pool.value}`}
      action="Create it"
      isBlocked={mib === undefined || name.trim() === ""}
      onAction={create}
    >
      <Field
        label="Name"
        value={name}
        onInput={setName}
        placeholder="guests/db/data"
        hint="Folders that are missing are made."
        isFirst
      />
      <Field
        label="Size"
        value={size}
        onInput={setSize}
        hint="512M, 10G or 2T, by powers of 1024."
        problem={mib === undefined ? "A size is 512M, 10G or 2T." : ""}
      />
    </Dialog>
  );
}
