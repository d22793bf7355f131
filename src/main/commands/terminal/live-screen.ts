import { writeSync } from "node:fs";
import { createScreen } from "./screen.js";

/** A terminal that is drawn on as a whole, until it is left as it was. */
export interface LiveScreen {
  /** As of a terminal that may be given another size at any time. `rows` is what `draw` can show. */
  readonly size: { readonly columns: number; readonly rows: number };
  draw(lines: readonly string[]): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

interface LiveScreenOptions {
  readonly onKey: (key: string) => void;
  readonly onResize: () => void;
}

/** Source: xterm's control sequences, which terminals of today share. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const CTRL_C = "\x03";
/** A shell counts a signal so: 128 and its number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const USUAL = { columns: 80, rows: 24 };

/**
 * Takes the terminal of this process, with its keys where stdin is a terminal too. However the process ends, but by
 * SIGKILL, the terminal is then as it was before. Ctrl-C and signals end it.
 */
export function openLiveScreen({ onKey, onResize }: LiveScreenOptions): LiveScreen {
  const { stdin, stdout } = process;
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    if (stdin.isTTY) stdin.setRawMode(false);
    try {
      writeSync(stdout.fd, LEAVE);
    } catch {
      // The terminal is gone.
    }
  };
  process.once("exit", close);
  for (const [signal, status] of Object.entries(SIGNALS)) process.once(signal, () => process.exit(status));
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    stdin.on("data", (typed: Buffer) => {
      for (const key of typed.toString()) {
        if (key === CTRL_C) process.exit(SIGNALS.SIGINT);
        onKey(key);
      }
    });
  }
  stdout.write(ENTER);
  stdout.on("resize", onResize);
  const screen = createScreen(stdout);
  return {
    get size() {
      const { columns = USUAL.columns, rows = USUAL.rows } = stdout;
      return { columns, rows: Math.max(1, rows - 1) };
    },
    draw: screen.draw,
    close,
  };
}
