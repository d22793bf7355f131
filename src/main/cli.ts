#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
import { checkConfigCommand } from "./commands/check-config.js";
import { imageCommand } from "./commands/image/image-command.js";
import { serveCommand } from "./commands/serve.js";

const { version }: { version: string } = createRequire(import.meta.url)("../../package.json");

await new Command("imagestore")
  .description("Guest disks and ZFS pools of a hypervisor node, as JSON-RPC over HTTP")
  .version(version)
  .addCommand(serveCommand(version), { isDefault: true })
  .addCommand(checkConfigCommand())
  .addCommand(imageCommand())
  .parseAsync();
