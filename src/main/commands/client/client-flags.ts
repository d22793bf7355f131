import { Command, InvalidArgumentError } from "commander";
import { ageText } from "../../diagnosis/text-layout.js";
import { styleFor, type TableStyle } from "../terminal/fitted-table.js";
import { paintFor } from "../terminal/paint.js";
import { type AddressFlags, withAddressFlags } from "./address-flags.js";
import { EXIT } from "./call-failure.js";

/** What every command of the client can be given. */
export interface ClientFlags extends AddressFlags {
  readonly pool?: string;
  readonly json?: boolean;
  readonly bare?: boolean;
  readonly exact?: boolean;
  /** In seconds. */
  readonly watch?: number;
  readonly yes?: boolean;
}

const MOST_WATCH_S = 3_600;
const CLEAR_LINE = "\r\x1b[K";
/** After so long a call is said to be under way, on a terminal. */
const PATIENCE_MS = 1_000;

/** For commander's `option`: seconds between two looks. */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.1 && seconds <= MOST_WATCH_S) return seconds;
  throw new InvalidArgumentError(`must be seconds from 0.1 to ${MOST_WATCH_S}`);
}

/** Where nobody reads the answer any more, the command ends. */
export function endWithReader(): void {
  process.stdout.on("error", () => process.exit(EXIT.other));
}

/** A command without its action, with the options that all have. */
export function clientCommand(name: string, summary: string): Command {
  return withAddressFlags(new Command(name))
    .description(summary)
    .hook("preAction", endWithReader)
    .option("--json", "print the answer as JSON");
}

/** Adds the options of tables. */
export function withTableFlags(command: Command): Command {
  return command
    .option("-H, --bare", "print no headings, and tabs between the columns")
    .option("-p, --exact", "print sizes as bytes");
}

/** How a table is printed on stdout now: its terminal may get another width. */
export function tableStyle(flags: ClientFlags): TableStyle {
  return styleFor(flags, process.stdout, paintFor(process.stdout, process.env));
}

/** Says on a terminal that a call is under way, until it has ended. */
export async function shownWhile<T>(what: string, work: Promise<T>): Promise<T> {
  const { stderr } = process;
  if (!stderr.isTTY) return work;
  const startedAt = performance.now();
  const timer = setInterval(
    () => stderr.write(`${CLEAR_LINE}${what}: ${ageText(performance.now() - startedAt)}`),
    PATIENCE_MS,
  );
  return work.finally(() => {
    clearInterval(timer);
    if (performance.now() - startedAt > PATIENCE_MS) stderr.write(CLEAR_LINE);
  });
}
