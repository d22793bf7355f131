import { expect, test } from "vitest";
import {
  type Column,
  styleFor,
  tableLines,
  withoutMiddle,
} from "../../../../src/main/commands/terminal/fitted-table.js";
import { paintFor, plainly } from "../../../../src/main/commands/terminal/paint.js";
import { createScreen } from "../../../../src/main/commands/terminal/screen.js";

interface Row {
  readonly name: string;
  readonly bytes: number;
  readonly note: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { heading: "NAME", cell: ({ name }) => name },
  {
    heading: "BYTES",
    cell: ({ bytes }) => `${bytes / 1024} KiB`,
    exact: ({ bytes }) => String(bytes),
    isNumber: true,
    look: () => "green",
  },
  { heading: "NOTE", cell: ({ note }) => note, goes: 1 },
];
const ROWS: readonly Row[] = [
  { name: "tank/guests/g1/disk-0@before-upgrade", bytes: 1024 * 1024, note: "a note" },
  { name: "tank/b", bytes: 1024, note: "-" },
];

const lines = (width: number | undefined, more = {}) =>
  tableLines(COLUMNS, ROWS, { isBare: false, isExact: false, width, paint: plainly, ...more });

test("numbers stand at the right, and no line ends with a space", () => {
  expect(lines(undefined)).toEqual([
    "NAME                                     BYTES  NOTE",
    "tank/guests/g1/disk-0@before-upgrade  1024 KiB  a note",
    "tank/b                                   1 KiB  -",
  ]);
});

test("a narrow terminal first loses the columns that matter least, then the middle of names", () => {
  expect(lines(50)).toEqual([
    "NAME                                     BYTES",
    "tank/guests/g1/disk-0@before-upgrade  1024 KiB",
    "tank/b                                   1 KiB",
  ]);
  expect(lines(30)).toEqual([
    "NAME                     BYTES",
    "tank/gues…re-upgrade  1024 KiB",
    "tank/b                   1 KiB",
  ]);
  expect(lines(3).map((line) => line.length)).toEqual([18, 18, 18]);
});

test("numbers are whole, however narrow it is", () => {
  for (let width = 1; width < 60; width++) expect(lines(width)[1]).toContain("1024 KiB");
});

test("a program gets tabs, no headings and exact numbers", () => {
  expect(lines(10, { isBare: true, isExact: true })).toEqual([
    "tank/guests/g1/disk-0@before-upgrade\t1048576\ta note",
    "tank/b\t1024\t-",
  ]);
});

test("only a terminal has a width", () => {
  expect(styleFor({}, { columns: 80 }, plainly)).toMatchObject({ width: undefined, isBare: false });
  expect(styleFor({ bare: true }, { isTTY: true, columns: 80 }, plainly)).toMatchObject({
    ...{ width: 80, isBare: true, isExact: false },
  });
});

test("a name loses its middle", () => {
  expect([withoutMiddle("abcdefgh", 8), withoutMiddle("abcdefghi", 8), withoutMiddle("abc", 1)]).toEqual([
    ...["abcdefgh", "abc…fghi", "…"],
  ]);
});

test("colours are for terminals whose user wants them, and take no room", () => {
  const paint = paintFor({ isTTY: true }, { TERM: "xterm", NO_COLOR: "" });
  expect(paint("red", "x")).toBe("\x1b[31mx\x1b[39m");
  expect(lines(undefined, { paint })[2]).toBe(`tank/b${" ".repeat(35)}\x1b[32m1 KiB\x1b[39m  -`);
  for (const [isTTY, env] of [
    [false, {}],
    [true, { NO_COLOR: "1" }],
    [true, { TERM: "dumb" }],
  ] as const) {
    expect(paintFor({ isTTY }, env)("red", "x")).toBe("x");
  }
});

test("a screen is drawn over itself, and cut where it has no more lines", () => {
  const written: string[] = [];
  const screen = createScreen({
    rows: 4,
    write: (text: string | Uint8Array) => written.push(String(text)) > 0,
  });
  screen.draw(["a", "b", "c"]);
  screen.draw(["a", "b", "c", "d", "e"]);
  expect(written).toEqual([
    "\x1b[Ha\x1b[K\nb\x1b[K\nc\x1b[K\n\x1b[J",
    "\x1b[Ha\x1b[K\nb\x1b[K\n… and 3 lines more\x1b[K\n\x1b[J",
  ]);
});
