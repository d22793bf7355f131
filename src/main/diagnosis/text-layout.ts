const KIB = 1024;
const UNITS: readonly string[] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `0 B`, `512 B`, `1.5 MiB`. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= KIB && unit < UNITS.length - 1; unit++) value /= KIB;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `12 ms`, `3.4 s`, `12 min 5 s`, `3 h 12 min`, `2 d 5 h`. */
export function ageText(ms: number): string {
  const pair = (big: number, bigName: string, small: number, smallName: string) =>
    `${Math.floor(ms / big)} ${bigName} ${Math.floor((ms % big) / small)} ${smallName}`;
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < HOUR) return pair(MINUTE, "min", SECOND, "s");
  if (ms < DAY) return pair(HOUR, "h", MINUTE, "min");
  return pair(DAY, "d", HOUR, "h");
}

/** The mean rate, `12.0 KiB/s`. */
export function rateText(bytes: number, ms: number): string {
  return ms < 1 ? "-" : `${sizeText(Math.round((bytes * SECOND) / ms))}/s`;
}

/** A batch has hundreds of names in its argv, and many pieces of work may show the same one. */
const FIRST_WORDS = 20;
const LAST_WORDS = 3;
const LONGEST_WORD = 256;

/** An argv without the middle of its words and the ends of long ones, if it is too long to be read. */
export function shortArgv(argv: readonly string[]): string[] {
  const left = argv.length - FIRST_WORDS - LAST_WORDS;
  const words = left > 1 ? [...argv.slice(0, FIRST_WORDS), ...argv.slice(-LAST_WORDS)] : [...argv];
  const short = words.map((word) => (word.length > LONGEST_WORD ? `${word.slice(0, LONGEST_WORD)}…` : word));
  if (left > 1) short.splice(FIRST_WORDS, 0, `…(${left} more)`);
  return short;
}

/** An argv as a shell would take it. */
export function commandText(argv: readonly string[]): string {
  return argv
    .map((word) => (/^[\w@%+=:,./…-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

/** A text that goes to a terminal must not steer it: a name of another program's may hold anything. */
export function printable(cell: string): string {
  return cell.replace(/\p{Cc}/gu, "?");
}

/** Rows whose columns are two spaces apart. No line ends with a space. */
export function alignRows(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** A heading and its lines, which are indented; without any it says `none`. */
export function section(heading: string, lines: readonly string[]): string {
  const body = (lines.length > 0 ? lines : ["none"]).map((line) => (line === "" ? "" : `  ${line}`));
  return `${[heading, ...body].join("\n")}\n`;
}
