import { printable } from "../../diagnosis/text-layout.js";
import type { Look, Paint } from "./paint.js";

/** A column of a table of `T`s. */
export interface Column<T> {
  readonly heading: string;
  readonly cell: (record: T) => string;
  /** What a program gets instead: numbers without units. */
  readonly exact?: (record: T) => string;
  /** Stands at the right, and is never cut. */
  readonly isNumber?: boolean;
  /** The first to go where the terminal is too narrow has 1. Without it, the column stays. */
  readonly goes?: number;
  readonly look?: (cell: string) => Look | undefined;
}

/** How a table is printed. */
export interface TableStyle {
  /** Without headings, with a tab between the columns. */
  readonly isBare: boolean;
  /** Sizes in bytes, times in full. */
  readonly isExact: boolean;
  /** Columns of the terminal. Undefined: there is room for any line. */
  readonly width: number | undefined;
  readonly paint: Paint;
}

const GAP = "  ";
/** A name is not cut to less. */
const SHORTEST_NAME = 8;

/** A text without its middle, which tells least of a name: `tank/gue…disk-0@s1`. */
export function withoutMiddle(text: string, most: number): string {
  if (text.length <= most) return text;
  const head = Math.floor((most - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`;
}

interface Laid<T> {
  readonly column: Column<T>;
  readonly cells: readonly string[];
  /** Of its widest cell, or what it was cut to. */
  readonly width: number;
}

const widthOf = (laid: readonly { readonly width: number }[]) =>
  laid.reduce((sum, { width }) => sum + width, GAP.length * (laid.length - 1));

/** Drops columns, and then cuts names, until the line has room. Numbers stay whole, whatever comes of it. */
function narrowed<T>(all: readonly Laid<T>[], most: number): readonly Laid<T>[] {
  let laid = [...all];
  while (widthOf(laid) > most) {
    const [next] = laid
      .filter(({ column }) => column.goes !== undefined)
      .sort((a, b) => (a.column.goes ?? 0) - (b.column.goes ?? 0));
    if (!next) break;
    laid = laid.filter((each) => each !== next);
  }
  for (let over = widthOf(laid) - most; over > 0; over = widthOf(laid) - most) {
    const [widest] = laid
      .filter(({ column, width }) => !column.isNumber && width > SHORTEST_NAME)
      .sort((a, b) => b.width - a.width);
    if (!widest) break;
    const width = Math.max(SHORTEST_NAME, widest.width - over);
    laid = laid.map((each) => (each === widest ? { ...each, width } : each));
  }
  return laid;
}

function lineOf<T>(laid: readonly Laid<T>[], row: number, paint: Paint): string {
  const cells = laid.map(({ column, cells, width }) => {
    const cell = withoutMiddle(cells[row] ?? "", width);
    const room = " ".repeat(width - cell.length);
    const shown = paint(row === 0 ? "bold" : column.look?.(cell), cell);
    return column.isNumber ? room + shown : shown + room;
  });
  return cells.join(GAP).trimEnd();
}

/** The lines of a table, with a heading and a line for each record. A cell can't steer the terminal. */
export function tableLines<T>(
  columns: readonly Column<T>[],
  records: readonly T[],
  { isBare, isExact, width, paint }: TableStyle,
): string[] {
  const cellOf = ({ cell, exact }: Column<T>, record: T) =>
    printable((isExact ? (exact ?? cell) : cell)(record));
  if (isBare) return records.map((record) => columns.map((column) => cellOf(column, record)).join("\t"));
  const laid = columns.map((column) => {
    const cells = [column.heading, ...records.map((record) => cellOf(column, record))];
    return { column, cells, width: cells.reduce((most, { length }) => Math.max(most, length), 0) };
  });
  const fitted = width === undefined ? laid : narrowed(laid, width);
  return ["", ...records].map((_, row) => lineOf(fitted, row, paint));
}

/** How a table is printed on a stream, as the flags of the command say. */
export function styleFor(
  { bare, exact }: { readonly bare?: boolean | undefined; readonly exact?: boolean | undefined },
  { isTTY, columns }: { readonly isTTY?: boolean; readonly columns?: number },
  paint: Paint,
): TableStyle {
  return { isBare: bare === true, isExact: exact === true, width: isTTY ? columns : undefined, paint };
}
