import { createRequire } from "node:module";

/** The version in a package.json, as `require` finds it from here; "" if it can't be read. */
function versionIn(packageFile: string): string {
  try {
    const { version }: { version: string } = createRequire(import.meta.url)(packageFile);
    return version;
  } catch {
    return "";
  }
}

/** The version of imagestore. */
export function ownVersion(): string {
  return versionIn("../../package.json");
}

/** The version of a package that it uses; "" if that is not installed. */
export function packageVersion(name: string): string {
  return versionIn(`${name}/package.json`);
}
