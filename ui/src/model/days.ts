/** A number of days, one or more of them or a part; undefined if it is none. */
export function parseDays(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^\d{1,6}(?:\.\d{1,3})?$/.test(trimmed)) return undefined;
  const days = Number(trimmed);
  return days > 0 ? days : undefined;
}

/** A moment for people, by the clock and the calendar of the browser. */
export function momentText(rfc3339: string): string {
  return new Date(rfc3339).toLocaleString();
}

/** How long ago a moment was, in milliseconds. */
export function agoMs(rfc3339: string): number {
  return Math.max(0, Date.now() - Date.parse(rfc3339));
}
