/**
 * The JSON texts of records, with commas between. Stops as soon as they are longer than
 * `mostBytes`, so that a list which is refused costs no more than one that is sent.
 * @returns undefined if they are.
 */
export function joinWithin<T>(
  records: readonly T[],
  encode: (record: T) => string,
  mostBytes: number,
): string | undefined {
  const texts: string[] = [];
  // A character takes a byte or more: so this is never more than the bytes.
  let characters = -1;
  for (const record of records) {
    const text = encode(record);
    characters += text.length + 1;
    if (characters > mostBytes) return undefined;
    texts.push(text);
  }
  return texts.join(",");
}
