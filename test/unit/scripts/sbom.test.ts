import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const CHECKOUT = fileURLToPath(new URL("../../..", import.meta.url));

interface Component {
  readonly name: string;
  readonly version: string;
  readonly licenses?: readonly unknown[];
  readonly hashes?: readonly { alg: string; content: string }[];
}

test("npm run sbom names every package of an installation, with version, licence and checksum", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const file = join(folder, "sbom.json");
  execFileSync("node", ["scripts/sbom.mjs", file], { cwd: CHECKOUT });
  const bom = JSON.parse(readFileSync(file, "utf8"));
  rmSync(folder, { recursive: true });
  expect(bom).toMatchObject({
    bomFormat: "CycloneDX",
    metadata: { component: { name: "imagestore", type: "application" } },
  });
  const components: readonly Component[] = bom.components;
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(CHECKOUT, "package.json"), "utf8"),
  );
  const names = components.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(Object.keys({ ...dependencies, ...optionalDependencies })));
  for (const name of ["vitest", "typescript", "jayson"]) expect(names).not.toContain(name);
  for (const { name, version, licenses = [], hashes = [] } of components) {
    expect.soft({ name, version, licences: licenses.length }).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      licences: 1,
    });
    expect
      .soft(hashes, name)
      .toMatchObject([{ alg: "SHA-512", content: expect.stringMatching(/^[0-9a-f]{128}$/) }]);
  }
});
