import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";

interface VirtualListProps<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly selected: string;
  onSelect(id: string): void;
  readonly children: (row: Row) => ComponentChildren;
}

/** The height of a row in pixels, which page.css gives it too. */
const ROW = 36;
/** Rows beyond what can be seen. */
const SPARE = 8;

/** Which row the keys lead to. */
function rowAfter(key: string, index: number, rows: number, page: number): number | undefined {
  const last = rows - 1;
  const moves: Readonly<Record<string, number>> = {
    ArrowDown: index + 1,
    ArrowUp: index - 1,
    PageDown: index + page,
    PageUp: index - page,
    Home: 0,
    End: last,
  };
  const to = moves[key];
  return to === undefined ? undefined : Math.max(0, Math.min(last, to));
}

/**
 * A list of which one row is selected. Only the rows in sight are in the page, so it takes any number of them.
 * The keys move the selection, as in a listbox of ARIA.
 */
export function VirtualList<Row extends { readonly id: string }>(props: VirtualListProps<Row>) {
  const { label, rows, selected, onSelect, children } = props;
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const index = rows.findIndex((row) => row.id === selected);

  useLayoutEffect(() => {
    const { current } = box;
    if (!current) return;
    const observer = new ResizeObserver(() => setHeight(current.clientHeight));
    observer.observe(current);
    return () => observer.disconnect();
  }, []);

  // Brings the selected row into sight when it changes, and when it first appears.
  useEffect(() => {
    const { current } = box;
    if (!current || index < 0) return;
    if (index * ROW < current.scrollTop) current.scrollTop = index * ROW;
    const below = (index + 1) * ROW - current.clientHeight;
    if (below > current.scrollTop) current.scrollTop = below;
  }, [selected, index < 0]);

  function onKeyDown(event: KeyboardEvent): void {
    const to = rowAfter(event.key, index, rows.length, Math.max(1, Math.floor(height / ROW) - 1));
    const row = to === undefined ? undefined : rows[to];
    if (!row) return;
    event.preventDefault();
    onSelect(row.id);
  }

  const inSight = Math.ceil(height / ROW);
  // A list that has become shorter is scrolled back by the browser, which tells it only after this was drawn.
  const topRow = Math.min(Math.floor(top / ROW), Math.max(0, rows.length - inSight));
  const first = Math.max(0, topRow - SPARE);
  const shown = rows.slice(first, first + inSight + 2 * SPARE);
  const isShown = index >= first && index < first + shown.length;
  return (
    <div
      ref={box}
      class="virtual-list"
      role="listbox"
      tabIndex={0}
      aria-label={label}
      aria-activedescendant={isShown ? `${id}-${index}` : undefined}
      onScroll={({ currentTarget }) => setTop(currentTarget.scrollTop)}
      onKeyDown={onKeyDown}
    >
      <div class="virtual-rows" role="presentation" style={{ height: `${rows.length * ROW}px` }}>
        <div role="presentation" style={{ transform: `translateY(${first * ROW}px)` }}>
          {shown.map((row, at) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox has the focus and takes the keys
            <div
              key={row.id}
              id={`${id}-${first + at}`}
              class="virtual-row"
              role="option"
              tabIndex={-1}
              aria-selected={row.id === selected}
              aria-setsize={rows.length}
              aria-posinset={first + at + 1}
              onClick={() => onSelect(row.id)}
            >
              {children(row)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
