import fc from "fast-check";
import { expect, test } from "vitest";
import { type Manifest, parseManifest, writeManifest } from "../../../../src/protocol/backups/manifest.js";

const sha256 = "a".repeat(64);
const manifest: Manifest = {
  format: 1,
  guids: { pool: "1", dataset: "2", from: null, to: "3" },
  names: { pool: "tank", dataset: "tank/v", from: null, to: "tank/v@s" },
  times: { created: "2026-01-01T00:00:00.000Z", taken: "2026-01-01T00:01:00.000Z" },
  txg: "12",
  bytes: 30,
  sha256,
  parts: [
    { bytes: 20, sha256 },
    { bytes: 10, sha256 },
  ],
  flags: [],
  volsize: "1048576",
  image: null,
  parent: null,
};
const ID = "1/2/3.full";

test("a manifest is read as it was written, whatever the order of its members was", () => {
  const turned = Object.fromEntries(Object.entries(manifest).reverse()) as Manifest;
  expect(writeManifest(turned)).toBe(writeManifest(manifest));
  expect(parseManifest(ID, writeManifest(manifest))).toEqual({ ok: true, value: manifest });
});

test("one that was cut or changed anywhere is damaged", () => {
  const text = writeManifest(manifest);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 127 }), (at, change) => {
      const changed = Buffer.from(text);
      changed[at] = (changed[at] ?? 0) ^ change;
      expect(parseManifest(ID, changed.toString("latin1")).ok).toBe(false);
      expect(parseManifest(ID, text.slice(0, at)).ok).toBe(false);
    }),
  );
});

test.each([
  [{ guids: { ...manifest.guids, to: "4" } }, "it is of another backup"],
  [{ bytes: 31 }, "its parts are not its whole"],
])("one that says %j is damaged: %s", (change, why) => {
  const text = writeManifest({ ...manifest, ...change });
  expect(parseManifest(ID, text)).toMatchObject({
    ok: false,
    failure: { code: "backup.damaged", message: why },
  });
});
