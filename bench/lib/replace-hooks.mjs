// @ts-check
/**
 * Module hooks (https://nodejs.org/docs/latest-v20.x/api/module.html#customization-hooks), loaded as
 * `replace-hooks.mjs?NAME`. Every import of the module NAME of REPLACEMENTS gets a new module instead. It
 * exports what the original does, except that some functions come from the replacement.
 */
import { findReplacement, replacedText } from "./replacements.mjs";

const replacement = findReplacement(new URL(import.meta.url).search.slice(1));
const original = replacement && new URL(`../../compiled/${replacement.module}`, import.meta.url).href;
/** The URL of the new module. */
const replaced = `${original}?replaced`;

/** @type {import("node:module").ResolveHook} */
export async function resolve(specifier, context, nextResolve) {
  const resolved = await nextResolve(specifier, context);
  return resolved.url === original ? { ...resolved, url: replaced } : resolved;
}

/** @type {import("node:module").LoadHook} */
export async function load(url, context, nextLoad) {
  if (!replacement || url !== replaced) return nextLoad(url, context);
  const by = new URL(replacement.by, import.meta.url).href;
  // The query keeps `resolve` from replacing this import too. A name that is exported by itself takes
  // precedence over the same name of `export *`.
  const source = `
    export * from ${JSON.stringify(`${original}?original`)};
    export { ${replacement.names.join(", ")} } from ${JSON.stringify(by)};
    process.stderr.write(${JSON.stringify(replacedText(replacement))});`;
  return { format: "module", source, shortCircuit: true };
}
