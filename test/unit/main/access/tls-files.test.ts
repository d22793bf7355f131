import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readTlsFiles, type TlsSettings } from "../../../../src/main/access/tls-files.js";
import { createTestCa, issueForHost } from "../../../support/certificates.js";

const ca = createTestCa();
afterAll(ca.remove);
const host = issueForHost(ca);
const other = issueForHost(ca, "other");

/** A file with that text. */
function file(name: string, text: string): string {
  const path = join(ca.folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}
/** Why the files are refused. */
function problem(files: Partial<TlsSettings>): string {
  const read = readTlsFiles({ port: 1, ...host, ...files });
  return read.ok ? "" : read.failure.message;
}

test("a certificate and its key are read, and when they expire", () => {
  const read = readTlsFiles({ port: 1, ...host });
  if (!read.ok) throw new Error(read.failure.message);
  expect(read.value.certFile).toBe(host.cert);
  expect(read.value.expiresAt - Date.now()).toBeGreaterThan(86_400_000);
  expect(read.value.expiresAt - Date.now()).toBeLessThan(3 * 86_400_000);
});

test("each problem is one line, which names the setting and the file", () => {
  const none = join(ca.folder, "none");
  expect(problem({ cert: none })).toMatch(`listen.tls.cert: ${none}: ENOENT`);
  expect(problem({ key: none })).toMatch(`listen.tls.key: ${none}: ENOENT`);
  const text = file("text", "no certificate\n");
  expect(problem({ cert: text })).toMatch(`listen.tls.cert: ${text}: no certificate in PEM: `);
  expect(problem({ key: text })).toMatch(`listen.tls.key: ${text}: no key in PEM: `);
  expect(problem({ cert: file("empty", "") })).toMatch("no certificate in PEM: ");
  expect(problem({ key: file("cert", readFileSync(host.cert, "utf8")) })).toMatch("no key in PEM: ");
  expect(problem({ cert: ca.folder })).toMatch("EISDIR");
  expect(problem({ key: other.key })).toBe(
    `listen.tls: ${other.key} is not the key of the certificate ${host.cert}`,
  );
  for (const each of [{ cert: text }, { key: text }, { key: other.key }]) {
    expect(problem(each)).not.toContain("\n");
  }
});

test("what certificates of clients are checked with is read too", () => {
  const crl = ca.writeCrl();
  const read = readTlsFiles({ port: 1, ...host, clientCa: ca.file, crl });
  if (!read.ok) throw new Error(read.failure.message);
  expect([read.value.clientCa, read.value.crl]).toEqual([readFileSync(ca.file), readFileSync(crl)]);
  const text = file("text", "no certificate\n");
  expect(problem({ clientCa: text })).toMatch(`listen.tls.clientCa: ${text}: no certificate in PEM: `);
  expect(problem({ crl: text })).toMatch(`listen.tls.crl: ${text}: no list of revoked certificates in PEM: `);
  expect(problem({ clientCa: join(ca.folder, "none") })).toMatch("ENOENT");
});

test("a key is refused that others may use, and taken if its group may read it", () => {
  const key = join(ca.folder, "copy.key");
  copyFileSync(host.key, key);
  for (const [mode, isTaken] of [
    [0o600, true],
    [0o400, true],
    [0o640, true],
    [0o644, false],
    [0o660, false],
    [0o604, false],
  ] as const) {
    chmodSync(key, mode);
    const found = problem({ key });
    if (isTaken) expect(found).toBe("");
    else expect(found).toContain(`its mode is ${mode.toString(8)}, so others may use it: chmod 600 ${key}`);
  }
});
