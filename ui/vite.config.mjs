import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (/** @type {string} */ relative) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  root: path("."),
  base: "/ui/",
  publicDir: false,
  cacheDir: path("../node_modules/.vite-ui"),
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: path("../dist/ui"),
    emptyOutDir: true,
    target: "es2022",
    // The page is a single file of each kind: nothing to preload.
    modulePreload: false,
    // The daemon's Content-Security-Policy lets no script be inline, and everything is cached for ever by its name.
    assetsInlineLimit: 0,
    license: { fileName: "licenses.md" },
    reportCompressedSize: false,
  },
});
