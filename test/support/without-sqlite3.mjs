// node --import ./test/support/without-sqlite3.mjs …
//
// Hides the package sqlite3 from this process and its threads, as if its binary had never been
// built. What needs it then uses the SQLite of Node.
import module from "node:module";

// Node 20 has no registerHooks.
const { register, registerHooks } = module;

const missing = "Could not locate the bindings file. It is hidden.";

if (registerHooks) {
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === "sqlite3") throw new Error(missing);
      return next(specifier, context);
    },
  });
} else {
  // Node 20 knows only hooks that run on a thread of their own.
  const hooks = `export async function resolve(specifier, context, next) {
    if (specifier === "sqlite3") throw new Error(${JSON.stringify(missing)});
    return next(specifier, context);
  }`;
  register(`data:text/javascript,${encodeURIComponent(hooks)}`);
}
