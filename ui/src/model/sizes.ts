const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const STEP = 1024;
const MIB = STEP * STEP;

/** A size in bytes for people: `1.5 GiB`, by powers of 1024. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= STEP && unit < UNITS.length - 1) {
    value /= STEP;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${UNITS[unit]}`;
}

/** As bytesText, for whole MiB. */
export function mibText(mib: number): string {
  return bytesText(mib * MIB);
}

/** Milliseconds for people: `3 s`, `2 min`, `1.5 h`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

/** `512M`, `10G`, or a number of MiB; undefined if it is none of these. @returns whole MiB, one or more. */
export function parseSize(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([MGT]?)(?:i?B)?\s*$/i.exec(text);
  if (!match) return undefined;
  const [, digits = "", unit = ""] = match;
  const factor = { "": 1, M: 1, G: STEP, T: MIB }[unit.toUpperCase()] ?? 1;
  const mib = Math.ceil(Number(digits) * factor);
  return mib >= 1 && Number.isSafeInteger(mib) ? mib : undefined;
}

const NUMBER = new Intl.NumberFormat("en");

/** `12,345`. */
export function countText(count: number): string {
  return NUMBER.format(count);
}
