import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The version in a package.json; undefined if there is none. */
function versionIn(packageFile: string): string | undefined {
  try {
    const { version }: { version?: string } = JSON.parse(readFileSync(packageFile, "utf8"));
    return version;
  } catch {
    return undefined;
  }
}

/** The version of imagestore; "" if it can't be read. */
export function ownVersion(): string {
  return versionIn(fileURLToPath(new URL("../../package.json", import.meta.url))) ?? "";
}

/**
 * The version of the package that has a file, by the first package.json above it that tells one; "" if
 * none does. Not by `require`: a package may hide its package.json.
 */
export function versionOfPackageAt(file: string): string {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const version = versionIn(join(folder, "package.json"));
    if (version !== undefined) return version;
  }
  return "";
}
