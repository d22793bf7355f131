import type { ListState } from "../model/paged-list.ts";
import { countText } from "../model/sizes.ts";

interface ListStatusProps {
  readonly list: ListState<unknown>;
  /** How many rows the filter has left. */
  readonly shown: number;
  /** What the rows are, in the plural. */
  readonly noun: string;
}

/** How many rows there are, read aloud when it changes. */
export function ListStatus({ list, shown, noun }: ListStatusProps) {
  const { rows, isLoading, isComplete, failure } = list;
  if (failure) {
    return (
      <span class="problem" role="alert">
        {failure.message}
      </span>
    );
  }
  const all = `${countText(rows.length)}${isComplete ? "" : "…"}`;
  const text = shown === rows.length ? `${all} ${noun}` : `${countText(shown)} of ${all} ${noun}`;
  return (
    <span class="count" role="status">
      {isLoading && rows.length === 0 ? "loading…" : text}
    </span>
  );
}
