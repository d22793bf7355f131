/** Names in the order of UTF-16 code units, each once. */
export interface SortedNames {
  /** Costs little more than a search, however many names there are. The name must not be there yet. */
  add(name: string): void;
  /** Costs as much. Does nothing if the name is not there. */
  remove(name: string): void;
  /** The names that are not before `start`, in their order. Nothing may change while they are taken. */
  from(start: string): Iterable<string>;
}

/** A new chunk has so many names, and one with twice as many is parted. */
const CHUNK_NAMES = 512;

/** The first place of which `isBehind` holds, where it holds of all that come after one. */
function firstPlace(count: number, isBehind: (place: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBehind(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * They are in chunks, so that a name that comes or goes moves only those of its chunk. Sorts `names`
 * once; takes 8 to 16 bytes for each, beside the name.
 */
export function createSortedNames(names: Iterable<string>): SortedNames {
  const sorted = [...names].sort();
  /** In their order. None is empty. */
  const chunks: string[][] = [];
  for (let at = 0; at < sorted.length; at += CHUNK_NAMES) chunks.push(sorted.slice(at, at + CHUNK_NAMES));

  /** The chunk that `name` is in or belongs into, and its place there. */
  function placeOf(name: string) {
    // The last that does not begin behind it, or the first.
    const number = Math.max(firstPlace(chunks.length, (place) => (chunks[place]?.[0] ?? "") > name) - 1, 0);
    const chunk = chunks[number] ?? [];
    return { number, chunk, place: firstPlace(chunk.length, (each) => (chunk[each] ?? "") >= name) };
  }

  return {
    add(name) {
      const { number, chunk, place } = placeOf(name);
      chunk.splice(place, 0, name);
      if (chunks.length === 0) chunks.push(chunk);
      if (chunk.length >= 2 * CHUNK_NAMES) chunks.splice(number + 1, 0, chunk.splice(CHUNK_NAMES));
    },
    remove(name) {
      const { number, chunk, place } = placeOf(name);
      if (chunk[place] !== name) return;
      chunk.splice(place, 1);
      const next = chunks[number + 1] ?? [];
      // So that chunks don't get ever shorter. The last may have to be empty to go.
      if (chunk.length > 0 && (next.length === 0 || chunk.length + next.length > CHUNK_NAMES / 2)) return;
      chunks.splice(number, 2, ...(chunk.length + next.length > 0 ? [[...chunk, ...next]] : []));
    },
    *from(start) {
      const { number, chunk, place } = placeOf(start);
      for (let at = place; at < chunk.length; at++) yield chunk[at] ?? "";
      for (let at = number + 1; at < chunks.length; at++) yield* chunks[at] ?? [];
    },
  };
}
