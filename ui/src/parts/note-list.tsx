import { useStore } from "../model/store.ts";
import { Button } from "./button.tsx";

/** What actions have come to, read aloud as it comes. */
export function NoteList() {
  const { notes } = useStore();
  return (
    <div class="notes" role="log" aria-live="polite" aria-label="What was done">
      {notes.list.value.map(({ id, kind, text, detail }) => (
        <div key={id} class={`note ${kind}`}>
          <div>
            <p>{text}</p>
            {detail && <p class="note-detail">{detail}</p>}
          </div>
          {kind !== "busy" && (
            <Button kind="quiet" icon="close" label={`Dismiss: ${text}`} onClick={() => notes.dismiss(id)} />
          )}
        </div>
      ))}
    </div>
  );
}
