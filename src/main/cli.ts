#!/usr/bin/env node
import "./old-node.js";
import { Command } from "commander";
import { unknownName } from "../protocol/storage/nearest-name.js";
import { checkConfigCommand } from "./commands/check-config.js";
import { exitWithReason } from "./commands/config-flags.js";
import { diagnoseCommand } from "./commands/diagnose.js";
import { imageCommand } from "./commands/image/image-command.js";
import { serveCommand } from "./commands/serve.js";
import { ownVersion } from "./own-version.js";

const version = ownVersion();

const commands = [serveCommand(version), checkConfigCommand(), diagnoseCommand(), imageCommand()] as const;

/** `serve` is the default, and would take a mistyped command for an argument of its own. */
function requireCommand(word: string): void {
  const names = [...commands.map((command) => command.name()), "help"];
  if (word.startsWith("-") || names.includes(word)) return;
  exitWithReason(`unknown command ${JSON.stringify(word)}, ${unknownName(word, names)}`);
}

requireCommand(process.argv[2] ?? "-");

await new Command("imagestore")
  .description("Guest disks and ZFS pools of a hypervisor node, as JSON-RPC over HTTP")
  .version(version)
  .addCommand(commands[0], { isDefault: true })
  .addCommand(commands[1])
  .addCommand(commands[2])
  .addCommand(commands[3])
  .parseAsync();
