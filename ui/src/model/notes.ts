import { type ReadonlySignal, signal } from "@preact/signals";

/** What the page tells of an action. It is read aloud too. */
export interface Note {
  readonly id: number;
  readonly kind: "busy" | "done" | "failed";
  readonly text: string;
  readonly detail?: string | undefined;
}

export interface Notes {
  readonly list: ReadonlySignal<readonly Note[]>;
  /** Adds a note, or replaces the one with the id. @returns its id. */
  tell(kind: Note["kind"], text: string, detail?: string, id?: number): number;
  dismiss(id: number): void;
}

/** How long a note of something done stays. A failure stays until it is dismissed. */
const DONE_MS = 6_000;

export function createNotes(): Notes {
  const list = signal<readonly Note[]>([]);
  let last = 0;
  const dismiss = (id: number) => {
    list.value = list.value.filter((note) => note.id !== id);
  };
  return {
    list,
    tell: (kind, text, detail, id = ++last) => {
      list.value = [...list.value.filter((note) => note.id !== id), { id, kind, text, detail }];
      if (kind === "done") setTimeout(() => dismiss(id), DONE_MS);
      return id;
    },
    dismiss,
  };
}
