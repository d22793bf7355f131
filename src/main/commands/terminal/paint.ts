/** What a word may look like on a terminal. */
export type Look = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Gives a text a look, or leaves it as it is. */
export type Paint = (look: Look | undefined, text: string) => string;

/** SGR of ECMA-48: what switches a look on and off. */
const CODES: Readonly<Record<Look, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** For files, pipes, and whoever wants no colours. */
export const plainly: Paint = (_look, text) => text;

/**
 * Colours for a terminal, unless it has none (`TERM=dumb`) or its user wants none: `NO_COLOR`, of
 * any value but an empty one. Source: no-color.org.
 */
export function paintFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  if (!stream.isTTY || env.NO_COLOR || env.TERM === "dumb") return plainly;
  return (look, text) => {
    if (look === undefined || text === "") return text;
    const [on, off] = CODES[look];
    return `\x1b[${on}m${text}\x1b[${off}m`;
  };
}

/** A look being switched, or a character. */
const PIECES = new RegExp(`${String.fromCharCode(0x1b)}\\[[\\d;]*m|.`, "gsu");

/** A painted line without what is behind its first `most` characters. */
export function cutLine(line: string, most: number): string {
  if (line.length <= most) return line;
  let width = 0;
  return (line.match(PIECES) ?? []).filter((piece) => piece.length > 2 || width++ < most).join("");
}
