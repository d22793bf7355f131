import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { readObject } from "../../../../src/workers/backups/read-object.js";
import { TRIES } from "../../../../src/workers/backups/repeated.js";
import { DamagedObject } from "../../../../src/workers/backups/store-failures.js";

const content = Buffer.from("0123456789abcdef");
const { signal } = new AbortController();

/** A store whose connections break after so many bytes. */
function breaking(...after: number[]) {
  const asked: number[] = [];
  const open = async (_name: string, from = 0) => {
    asked.push(from);
    const bytes = after[asked.length - 1] ?? content.length;
    return Readable.from(
      (async function* () {
        if (bytes > 0) yield content.subarray(from, from + bytes);
        if (from + bytes < content.length) throw Object.assign(new Error("cut"), { code: "ECONNRESET" });
      })(),
    );
  };
  return { asked, open };
}

async function all(store: ReturnType<typeof breaking>, bytes = content.length): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of readObject(store.open, signal, "o", bytes)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test("a connection that breaks is opened again where it broke", async () => {
  const store = breaking(3, 5, 0, 4);
  expect(await all(store)).toBe(content.toString());
  expect(store.asked).toEqual([0, 3, 8, 8, 12]);
});

test("one that never gives anything is given up", async () => {
  const store = breaking(...Array(20).fill(0));
  await expect(all(store)).rejects.toThrow("cut");
  expect(store.asked).toHaveLength(TRIES);
});

test.each([
  [15, "it has more than the 15 bytes that were stored"],
  [17, "it has 16 bytes, and 17 were stored"],
])("an object of 16 bytes of which %i were stored is damaged: %s", async (bytes, why) => {
  await expect(all(breaking(), bytes)).rejects.toThrow(new DamagedObject("o", why).message);
});
