import { Command } from "commander";
import { checkConfigCommand } from "./check-config.js";
import { diagnoseCommand } from "./diagnose.js";
import { imageCommand } from "./image/image-command.js";
import { serveCommand } from "./serve.js";

/** All commands of `imagestore`. `serve` is the one that runs where none is named. */
export function createProgram(version: string): Command {
  return new Command("imagestore")
    .description("Guest disks and ZFS pools of a hypervisor node, as JSON-RPC over HTTP")
    .version(version)
    .addCommand(serveCommand(version), { isDefault: true })
    .addCommand(checkConfigCommand())
    .addCommand(diagnoseCommand())
    .addCommand(imageCommand());
}
