import { createHash } from "node:crypto";
import { type Manifest, placeOf } from "../../protocol/backups/manifest.js";
import { backupIdOf, dataNameOf } from "../../protocol/backups/object-names.js";
import { KeyFileProblem } from "./key-file.js";
import { DamagedObject } from "./store-failures.js";
import { decrypted } from "./stream-cipher.js";

/**
 * The stream of a backup, from what is stored of it, decrypted if it is encrypted. It ends only if all that is stored is
 * what was stored, and holds what was sent: a DamagedObject is thrown otherwise. Throws a KeyFileProblem if it is
 * encrypted and there are no identities, and a CipherFailure if these don't open it.
 */
export async function* openContent(
  stored: AsyncIterable<Buffer>,
  manifest: Manifest,
  identities: readonly string[] | undefined,
): AsyncGenerator<Buffer> {
  const { encryption } = manifest;
  const source = holding(stored, manifest, manifest.sha256);
  if (!encryption) return yield* source;
  if (!identities) throw noIdentity();
  yield* holding(decrypted(source, identities), manifest, encryption.sha256);
}

export const noIdentity = () =>
  new KeyFileProblem("the backup is encrypted, and the profile has no identityFile that could open it");

/** Passes bytes on. Throws a DamagedObject at their end if their digest is another one. */
export async function* holding(
  source: AsyncIterable<Buffer>,
  manifest: Manifest,
  sha256: string,
): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest("hex") === sha256) return;
  throw new DamagedObject(dataNameOf(backupIdOf(placeOf(manifest))), "its SHA-256 is another one");
}
