import { Command } from "commander";
import { checkConfigCommand } from "./check-config.js";
import { addVerbs, callCommand, downloadCommand } from "./client/client-commands.js";
import { contextCommand } from "./contexts/context-command.js";
import { diagnoseCommand } from "./diagnose.js";
import { imageCommand } from "./image/image-command.js";
import { schemaCommand } from "./schema-command.js";
import { serveCommand } from "./serve.js";
import { tokenCommand } from "./token.js";

/** All commands of `imagestore`. `serve` is the one that runs where none is named. */
export function createProgram(version: string): Command {
  return new Command("imagestore")
    .description("Guest disks and ZFS pools of a hypervisor node, as JSON-RPC over HTTP")
    .version(version)
    .addCommand(serveCommand(version), { isDefault: true })
    .addCommand(checkConfigCommand())
    .addCommand(diagnoseCommand())
    .addCommand(imageCommand())
    .addCommand(addVerbs(new Command("volume").description("create, list, change and delete volumes")))
    .addCommand(
      addVerbs(
        new Command("snapshot").description("take, list, download, delete and roll back to snapshots"),
      ).addCommand(downloadCommand()),
    )
    .addCommand(addVerbs(new Command("bookmark").description("list, make and delete bookmarks of snapshots")))
    .addCommand(addVerbs(new Command("guest").description("make, snapshot and delete the disks of a guest")))
    .addCommand(addVerbs(new Command("pool").description("show the pools")))
    .addCommand(addVerbs(new Command("job").description("show the work that lasts")))
    .addCommand(callCommand())
    .addCommand(schemaCommand(version))
    .addCommand(contextCommand())
    .addCommand(tokenCommand());
}
