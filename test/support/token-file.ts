import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";

interface Granted {
  readonly role: string;
  readonly pools?: readonly string[];
  readonly names?: readonly string[];
  /** As `new Date().toISOString()` has it. */
  readonly expires?: string;
}

/** The token of that id in a file that `writeTokens` has written. */
export function secretOf(id: string): string {
  return `secret-${id}`;
}

/** Writes a file of tokens, by their ids, as `imagestore token` does. */
export function writeTokens(path: string, tokens: Readonly<Record<string, Granted>>): void {
  const records = Object.entries(tokens).map(([id, granted]) => ({
    id,
    hash: createHash("sha256").update(secretOf(id)).digest("hex"),
    created: "2026-01-01T00:00:00Z",
    ...granted,
  }));
  writeFileSync(path, JSON.stringify({ version: 1, tokens: records }), { mode: 0o600 });
}
