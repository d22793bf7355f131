// NODE_OPTIONS="--import FILE" HIDE_PACKAGES=sqlite3,@scope/other node …
//
// Hides packages from this process and its threads, as if their binaries were not there.
import { Module } from "node:module";

const hidden = (process.env.HIDE_PACKAGES ?? "").split(",");
const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  if (hidden.includes(request)) throw new Error(`Cannot find module '${request}'`);
  return resolve.call(this, request, ...rest);
};
