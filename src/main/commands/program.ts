import { Command } from "commander";
import { checkConfigCommand } from "./check-config.js";
import { addVerbs, callCommand, downloadCommand, receiveCommand } from "./client/client-commands.js";
import { eventCommand } from "./client/event-command.js";
import { contextCommand } from "./contexts/context-command.js";
import { diagnoseCommand } from "./diagnose.js";
import { EXAMPLES } from "./examples.js";
import { imageCommand } from "./image/image-command.js";
import { schemaCommand } from "./schema-command.js";
import { serveCommand } from "./serve.js";
import { tokenCommand } from "./token.js";
import { topCommand } from "./top/top-command.js";

const EXIT_STATUS = `
A command ends with 0 where it has done what it should, 1 where it failed or was mistyped, 2 where it was refused,
3 where no daemon answers, 4 where something is not found, 5 where something is in the way, 6 where there is no room,
75 where the same may succeed later, 77 where the token is not for it, and 130 after Ctrl-C.
`;

/** The commands by what somebody wants to do, in the order in which a newcomer needs them. */
function groups(version: string): readonly (readonly [heading: string, commands: readonly Command[]])[] {
  const group = (name: string, summary: string) => addVerbs(new Command(name).description(summary));
  return [
    ["Run the daemon:", [serveCommand(version), checkConfigCommand(), tokenCommand()]],
    [
      "Images and guests' disks:",
      [
        imageCommand(),
        group("guest", "make, snapshot and delete the disks of a guest"),
        group("volume", "create, list, change and delete volumes").addCommand(receiveCommand()),
        group("snapshot", "take, list, download, delete and roll back to snapshots").addCommand(
          downloadCommand(),
        ),
        group("bookmark", "list, make and delete bookmarks of snapshots"),
        group("backup", "keep snapshots in an object store, and restore them"),
      ],
    ],
    [
      "See what is going on:",
      [
        group("pool", "show the pools"),
        group("job", "show the work that lasts"),
        group("audit", "show who has changed what"),
        eventCommand(),
        topCommand(),
        diagnoseCommand(),
      ],
    ],
    ["Other daemons, other programs:", [contextCommand(), callCommand(), schemaCommand(version)]],
  ];
}

/** Adds lines to try to a command's help. */
function withExamples(command: Command, path: string): void {
  const lines = EXAMPLES[path];
  if (lines) command.addHelpText("after", `\nTry:\n${lines.map((line) => `  ${line}\n`).join("")}`);
}

/** Has a command that was mistyped say how it is typed, and all commands below it. */
function showUsage(command: Command, path: string): void {
  command.showHelpAfterError(`usage: ${path} ${command.usage()}`);
  for (const each of command.commands) showUsage(each, `${path} ${each.name()}`);
}

/** All commands of `imagestore`. `serve` is the one that runs where none is named. */
export function createProgram(version: string): Command {
  const program = new Command("imagestore")
    .description("Guest disks and ZFS pools of a hypervisor node, as JSON-RPC over HTTP")
    .version(version);
  withExamples(program, "imagestore");
  for (const [heading, commands] of groups(version)) {
    for (const command of commands) {
      withExamples(command, `imagestore ${command.name()}`);
      program.addCommand(command.helpGroup(heading), { isDefault: command.name() === "serve" });
    }
  }
  showUsage(program, "imagestore");
  return program.addHelpText("after", EXIT_STATUS);
}
