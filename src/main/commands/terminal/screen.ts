import type { WriteStream } from "node:tty";

/** The lines of a terminal, which are drawn again and again in the same place. */
export interface Screen {
  /** Shows these lines instead of those before. What does not fit is cut: the last line then says so. */
  draw(lines: readonly string[]): void;
}

const HOME = "\x1b[H";
const CLEAR_REST_OF_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
/** Longer than most names, and of a terminal that does not say how high it is. */
const USUAL_ROWS = 24;

/** Over what is there, from the top: nothing flickers, as nothing is cleared before it is written. */
export function createScreen(terminal: Pick<WriteStream, "write"> & { readonly rows?: number }): Screen {
  return {
    draw: (lines) => {
      const rows = Math.max(2, terminal.rows ?? USUAL_ROWS);
      const over = lines.length - (rows - 1);
      const shown = over > 0 ? [...lines.slice(0, rows - 2), `… and ${over + 1} lines more`] : lines;
      const text = shown.map((line) => `${line}${CLEAR_REST_OF_LINE}\n`).join("");
      terminal.write(`${HOME}${text}${CLEAR_BELOW}`);
    },
  };
}
