import { useState } from "preact/hooks";
import { parseDays } from "../model/days.ts";
import { useStore } from "../model/store.ts";
import { Field } from "../parts/field.tsx";
import { PreviewDialog } from "./preview-dialog.tsx";

const DAY_S = 86_400;
const secondsOf = (days: number | undefined) => (days === undefined ? 0 : Math.round(days * DAY_S));
const problemOf = (text: string) =>
  text.trim() !== "" && parseDays(text) === undefined ? "A number of days, or nothing." : "";

/** Deletes images that nobody uses, after it has shown them. */
export function PruneImagesDialog() {
  const { actions, session, pool } = useStore();
  const [unused, setUnused] = useState("30");
  const [older, setOlder] = useState("");
  const params = {
    pool: pool.value,
    unusedForSeconds: secondsOf(parseDays(unused)),
    olderThanSeconds: secondsOf(parseDays(older)),
  };
  const isWrong = problemOf(unused) !== "" || problemOf(older) !== "";

  return (
    <PreviewDialog
      title={`Prune the images of ${pool.value}`}
      params={params}
      action="Delete them"
      noun="images"
      isBlocked={isWrong || params.unusedForSeconds + params.olderThanSeconds === 0}
      preview={async () => {
        const answer = await session.client.call("PruneImages", { ...params, dryRun: true });
        if (!answer.ok) return answer;
        return { ok: true, value: { goes: (answer.value.images ?? []).map(({ id }) => id) } };
      }}
      act={async () => {
        const words = {
          busy: `Pruning the images of ${pool.value}`,
          done: `Pruned the images of ${pool.value}`,
        };
        return (await actions.change("PruneImages", params, words)).ok;
      }}
    >
      <p>Images that nothing is cloned from are deleted, if both of these hold.</p>
      <Field
        label="Not used for days"
        value={unused}
        onInput={setUnused}
        problem={problemOf(unused)}
        hint="A use is a request or a clone. May be empty."
        isFirst
      />
      <Field
        label="In the pool for days"
        value={older}
        onInput={setOlder}
        problem={problemOf(older)}
        hint="May be empty."
      />
    </PreviewDialog>
  );
}
