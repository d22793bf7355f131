const CHARACTERS = 20;

/** `[=====               ]`, of a share from 0 to 1. */
export function barText(share: number): string {
  return `[${"=".repeat(Math.floor(share * CHARACTERS)).padEnd(CHARACTERS)}]`;
}
