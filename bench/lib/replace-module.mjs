// @ts-check
/**
 * Loaded into a daemon by `--import replace-module.mjs?NAME`: registers the hooks that replace the module NAME
 * of REPLACEMENTS. It does so only on the main thread, where the replaced modules are used.
 */
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

if (isMainThread) register(`./replace-hooks.mjs${new URL(import.meta.url).search}`, import.meta.url);
