import type { NumberedEvent } from "./event.js";

/** The newest events, for those who come back and go on where they were. */
export interface EventRing {
  add(event: NumberedEvent): void;
  /** All events after that one, the oldest first; undefined if some of them are not kept any more. */
  since(seq: number): readonly NumberedEvent[] | undefined;
}

/** Of the texts that are kept, in UTF-16 code units. */
const MOST_CHARACTERS = 16 * 1024 * 1024;

/** Keeps at most `most` events, whose numbers follow each other. */
export function createEventRing(most: number, mostCharacters = MOST_CHARACTERS): EventRing {
  /** The places before `first` are empty, and taken out now and then. */
  let events: (NumberedEvent | undefined)[] = [];
  let first = 0;
  /** Of the events from `first` on. */
  let characters = 0;
  /** The number of the newest event; 0 before the first. */
  let newest = 0;

  function forgetOldest(): void {
    characters -= events[first]?.json.length ?? 0;
    events[first++] = undefined;
    if (first < events.length / 2) return;
    events = events.slice(first);
    first = 0;
  }

  return {
    add: (event) => {
      events.push(event);
      newest = event.seq;
      characters += event.json.length;
      while (events.length - first > most || characters > mostCharacters) forgetOldest();
    },
    since: (seq) => {
      const missed = newest - seq;
      if (missed < 0 || missed > events.length - first) return undefined;
      return events.slice(events.length - missed).filter((event) => event !== undefined);
    },
  };
}
