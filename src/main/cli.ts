#!/usr/bin/env -S node --max-semi-space-size=16
import "./old-node.js";
import { unknownName } from "../protocol/storage/nearest-name.js";
import { exitWithReason } from "./commands/config-flags.js";
import { createProgram } from "./commands/program.js";
import { ownVersion } from "./own-version.js";

const program = createProgram(ownVersion());

/** `serve` is the default, and would take a mistyped command for an argument of its own. */
function requireCommand(word: string): void {
  const names = [...program.commands.map((command) => command.name()), "help"];
  if (word.startsWith("-") || names.includes(word)) return;
  exitWithReason(`unknown command ${JSON.stringify(word)}, ${unknownName(word, names)}`);
}

requireCommand(process.argv[2] ?? "-");
await program.parseAsync();
