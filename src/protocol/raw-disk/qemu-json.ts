/** What a command of QEMU printed as JSON. Undefined: it printed something else. */
export function parseQemuJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
