/**
 * JSON whose integers keep their digits: one that a number can't hold is a bigint. JSON.parse would round
 * it, and JSON.stringify knows no bigint.
 */

const MAY_BE_TOO_LARGE = /\d{16}/;
const INTEGER = /^-?\d+$/;
const BEGINS_NUMBER = /[\d-]/;
const IN_NUMBER = /[\d.eE+-]/;

function isTooLarge(token: string): boolean {
  return INTEGER.test(token) && !Number.isSafeInteger(Number(token));
}

/** Where the string that begins at `start` has its last quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

/**
 * The same JSON with strings for the integers that are too large: `mark` and their digits. No pattern for
 * the whole: on a long string it would exhaust the stack.
 */
function withMarks(text: string, mark: string): string {
  let marked = "";
  let copied = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') at = endOfString(text, at);
    else if (BEGINS_NUMBER.test(text[at] ?? "")) {
      let end = at + 1;
      while (IN_NUMBER.test(text[end] ?? "")) end++;
      const token = text.slice(at, end);
      if (isTooLarge(token)) {
        marked += `${text.slice(copied, at)}"${mark}${token}"`;
        copied = end;
      }
      at = end - 1;
    }
  }
  return marked + text.slice(copied);
}

/** Reads a text, of which `T` is what the sender has promised. Throws a SyntaxError, as JSON.parse does. */
export function parseWire<T>(text: string): T {
  if (!MAY_BE_TOO_LARGE.test(text)) return JSON.parse(text);
  // No string of the text may be taken for an integer.
  let mark = "integer:";
  while (text.includes(mark)) mark = `_${mark}`;
  return JSON.parse(withMarks(text, mark), (_key, value: unknown) =>
    typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  );
}

/** Writes a value. Members that are undefined are left out. */
export function encodeWire(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(encodeWire).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${JSON.stringify(key)}:${encodeWire(member)}`);
  return `{${members.join(",")}}`;
}
