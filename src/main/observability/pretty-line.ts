/** Gives a text a colour, or leaves it as it is. */
type PaintLog = (look: "red" | "yellow" | "cyan" | "dim" | undefined, text: string) => string;

/** By level of pino. */
const LEVELS: Readonly<Record<number, readonly [name: string, look: "red" | "yellow" | "cyan" | "dim"]>> = {
  10: ["trace", "dim"],
  20: ["debug", "dim"],
  30: ["info ", "cyan"],
  40: ["warn ", "yellow"],
  50: ["error", "red"],
  60: ["fatal", "red"],
};

/** What every line has, and its head tells. */
const HEAD: readonly string[] = ["level", "time", "pid", "hostname", "name", "msg", "err"];

type Line = Readonly<Record<string, unknown>>;

/** What is no plain word is JSON: what a client sent can't begin a line, steer the terminal, or pass for another member. */
function word(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const isPlain = typeof value !== "string" || /^[\p{L}\p{N}_@:/.,*+%-]+$/u.test(text);
  return (isPlain ? text : JSON.stringify(text)).replace(/[\p{Cc}\p{Cf}]/gu, "?");
}

const safe = (text: string) => text.replace(/[\p{Cc}\p{Cf}]+/gu, " ");

/** An error's lines: its stack, or its message. */
function errorLines(err: unknown): readonly string[] {
  if (typeof err !== "object" || err === null) return err === undefined ? [] : [safe(String(err))];
  const { stack, message }: { readonly stack?: unknown; readonly message?: unknown } = err;
  return String(stack ?? message ?? JSON.stringify(err))
    .split("\n")
    .map(safe);
}

function parse(json: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A line of the log for people, made of its JSON, so that nothing is in it that is not there:
 * `12:03:04.567 warn  a change failed  method=CreateVolume pool=tank`. Times are local. The stack of an error
 * follows on lines of its own, which are indented.
 */
export function prettyLine(json: string, paint: PaintLog): string {
  const line = parse(json);
  if (line === undefined) return json;
  const [name, look] = LEVELS[Number(line.level)] ?? [String(line.level), "cyan"];
  const at = new Date(String(line.time));
  const part = (value: number, digits: number) => String(value).padStart(digits, "0");
  const time = `${[at.getHours(), at.getMinutes(), at.getSeconds()].map((each) => part(each, 2)).join(":")}.${part(at.getMilliseconds(), 3)}`;
  const members = Object.entries(line)
    .filter(([key, value]) => !HEAD.includes(key) && value !== null)
    .map(([key, value]) => `${paint("dim", `${word(key)}=`)}${word(value)}`);
  const head = [paint("dim", time), paint(look, name), safe(String(line.msg ?? ""))].join(" ").trimEnd();
  const told = members.length > 0 ? `${head}  ${members.join(" ")}` : head;
  return [told, ...errorLines(line.err).map((each) => `    ${each}`)].map((each) => `${each}\n`).join("");
}
