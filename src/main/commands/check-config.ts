import { Command } from "commander";
import type { Flags } from "../config/load.js";
import { loadConfigOrExit, withConfigFlags } from "./config-flags.js";

/** `imagestore check-config`: what it prints loads as the same configuration. */
export function checkConfigCommand(): Command {
  return withConfigFlags(new Command("check-config"))
    .description("check the configuration, print it with its defaults, and exit")
    .action(async (flags: Flags) => {
      process.stdout.write(`${JSON.stringify(await loadConfigOrExit(flags), null, 2)}\n`);
    });
}
