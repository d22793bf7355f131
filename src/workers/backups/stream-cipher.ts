import type { BackupProfile } from "../../protocol/storage/backup-profile.js";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { KeyFileProblem, readIdentities } from "./key-file.js";

/** Says that what is stored can't be opened with these identities: they are others, or it was changed. */
export class CipherFailure extends Error {}

type Keys = Pick<BackupProfile, "recipients" | "identityFile">;
type Stream = AsyncIterable<Uint8Array>;

/** Loaded with the first stream that is encrypted. */
const loadAge = () => import("age-encryption");

const asBuffer = (chunk: Uint8Array) => Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);

/**
 * Whom a backup is encrypted to: the recipients of the profile; without them those of its identities. None: it is not
 * encrypted. Rejects as the file can't be read.
 */
export async function recipientsOf({ recipients, identityFile }: Keys): Promise<readonly string[]> {
  if (recipients.length > 0 || identityFile === undefined) return recipients;
  const { identityToRecipient } = await loadAge();
  const identities = await readIdentities(identityFile);
  return Promise.all(identities.map((identity) => identityToRecipient(identity))).catch(() => {
    throw new KeyFileProblem("identityFile holds no identities of age");
  });
}

/** What opens encrypted backups; undefined: the profile has no file of it. Rejects as the file can't be read. */
export async function identitiesOf({ identityFile }: Keys): Promise<readonly string[] | undefined> {
  return identityFile === undefined ? undefined : readIdentities(identityFile);
}

/**
 * The stream of age that holds these bytes, 64 KiB at a time. It ends where the source breaks, as the source does.
 * Throws a KeyFileProblem for recipients that are none.
 */
export async function* encrypted(source: Stream, recipients: readonly string[]): AsyncGenerator<Buffer> {
  const { Encrypter } = await loadAge();
  const encrypter = new Encrypter();
  try {
    for (const each of recipients) encrypter.addRecipient(each);
  } catch {
    throw new KeyFileProblem("recipients of the profile has one that age does not know");
  }
  for await (const chunk of await encrypter.encrypt(ReadableStream.from(source))) yield asBuffer(chunk);
}

/** What a stream of age holds. Throws a CipherFailure, or as the source breaks. */
export async function* decrypted(source: Stream, identities: readonly string[]): AsyncGenerator<Buffer> {
  const { Decrypter } = await loadAge();
  let broken: { readonly error: unknown } | undefined;
  async function* noting() {
    try {
      yield* source;
    } catch (error) {
      broken = { error };
      throw error;
    }
  }
  try {
    const decrypter = new Decrypter();
    for (const each of identities) decrypter.addIdentity(each);
    for await (const chunk of await decrypter.decrypt(ReadableStream.from(noting()))) yield asBuffer(chunk);
  } catch (error) {
    if (broken) throw broken.error;
    throw new CipherFailure(messageOf(error));
  }
}
