import { randomBytes } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateIdentity, identityToRecipient } from "age-encryption";
import { describe, expect, test } from "vitest";
import { KeyFileProblem } from "../../../../src/workers/backups/key-file.js";
import {
  CipherFailure,
  decrypted,
  encrypted,
  identitiesOf,
  recipientsOf,
} from "../../../../src/workers/backups/stream-cipher.js";
import { scratchFolder } from "../../../support/memory-actor.js";
import { until } from "../../../support/until.js";

const identity = await generateIdentity();
const recipient = await identityToRecipient(identity);

async function* pieces(data: Buffer, size = 10_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function all(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const read: Buffer[] = [];
  for await (const chunk of chunks) read.push(chunk);
  return Buffer.concat(read);
}

const seal = (data: Buffer) => all(encrypted(pieces(data), [recipient]));
const open = (data: Buffer, identities = [identity]) => all(decrypted(pieces(data), identities));

describe("a stream that is encrypted", () => {
  test.each([0, 1, 65_535, 65_536, 65_537, 300_000])(
    "of %i bytes is the same when it is opened",
    async (bytes) => {
      const data = randomBytes(bytes);
      const sealed = await seal(data);
      expect(sealed.subarray(0, 22).toString()).toBe("age-encryption.org/v1\n");
      expect((await open(sealed)).equals(data)).toBe(true);
    },
  );

  test("can be opened by each of its recipients, and by nobody else", async () => {
    const other = await generateIdentity();
    const both = await all(
      encrypted(pieces(Buffer.from("ours")), [recipient, await identityToRecipient(other)]),
    );
    expect(String(await open(both))).toBe("ours");
    expect(String(await open(both, [other]))).toBe("ours");
    const stranger = await generateIdentity();
    await expect(open(both, [stranger])).rejects.toThrow(CipherFailure);
    expect(String(await open(both, [stranger, other]))).toBe("ours");
  });

  test("is refused wherever a bit of it is flipped, and wherever it is cut", async () => {
    const sealed = await seal(randomBytes(70_000));
    for (const at of [0, 30, 80, 150, 190, 240, 1_000, 65_900, sealed.length - 1]) {
      const flipped = Buffer.from(sealed);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      await expect(open(flipped), `byte ${at}`).rejects.toThrow(CipherFailure);
    }
    for (const end of [0, 10, 150, 250, 65_900, sealed.length - 1]) {
      await expect(open(sealed.subarray(0, end)), `cut to ${end}`).rejects.toThrow(CipherFailure);
    }
  });

  test("breaks as its source does, both ways", async () => {
    const broken = new Error("the connection is gone");
    async function* breaking(data: Buffer) {
      yield data;
      throw broken;
    }
    await expect(all(encrypted(breaking(randomBytes(200_000)), [recipient]))).rejects.toBe(broken);
    const sealed = await seal(randomBytes(200_000));
    await expect(all(decrypted(breaking(sealed.subarray(0, 100_000)), [identity]))).rejects.toBe(broken);
  });

  test("is read no faster than it is taken, and its source is closed with it", async () => {
    for (const [cipher, data] of [
      [(source: AsyncIterable<Buffer>) => encrypted(source, [recipient]), randomBytes(4_000_000)],
      [(source: AsyncIterable<Buffer>) => decrypted(source, [identity]), await seal(randomBytes(4_000_000))],
    ] as const) {
      let read = 0;
      let isClosed = false;
      async function* counted() {
        try {
          for await (const piece of pieces(data, 64 * 1024)) {
            read += piece.length;
            yield piece;
          }
        } finally {
          isClosed = true;
        }
      }
      let taken = 0;
      for await (const chunk of cipher(counted())) {
        taken += chunk.length;
        expect(read - taken).toBeLessThan(8 * 64 * 1024);
        if (taken > 1_000_000) break;
      }
      expect(read).toBeLessThan(2_000_000);
      await until("the source is closed", () => isClosed);
    }
  });
});

describe("the keys of a profile", () => {
  const keys = (recipients: readonly string[], identityFile?: string) => ({ recipients, identityFile });

  test("are those of the file where no recipients are named, and none where neither is", async () => {
    using folder = scratchFolder();
    const file = join(folder.path, "key.txt");
    writeFileSync(file, `# created: today\n# public key: ${recipient}\n${identity}\n`, { mode: 0o600 });
    expect(await recipientsOf(keys([], file))).toEqual([recipient]);
    expect(await identitiesOf(keys([], file))).toEqual([identity]);
    expect(await recipientsOf(keys(["age1other"], "/none"))).toEqual(["age1other"]);
    expect([await recipientsOf(keys([])), await identitiesOf(keys([recipient]))]).toEqual([[], undefined]);
  });

  test("are refused where others may read them, and where they are none", async () => {
    using folder = scratchFolder();
    const file = join(folder.path, "key.txt");
    writeFileSync(file, `${identity}\n`, { mode: 0o600 });
    chmodSync(file, 0o640);
    await expect(identitiesOf(keys([], file))).rejects.toThrow("its mode must be 0600");
    chmodSync(file, 0o600);
    for (const text of ["", "# nothing\n", `${identity}\nand more\n`, recipient]) {
      writeFileSync(file, text);
      await expect(identitiesOf(keys([], file))).rejects.toThrow(KeyFileProblem);
    }
    writeFileSync(file, `${identity.slice(0, -1)}Q`);
    await expect(recipientsOf(keys([], file))).rejects.toThrow(KeyFileProblem);
    await expect(all(encrypted(pieces(Buffer.from("x")), ["age1nobody"]))).rejects.toThrow(KeyFileProblem);
  });
});
