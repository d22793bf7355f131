import { Command } from "commander";
import type { Flags } from "../config/load.js";
import { exitWithReason, loadConfigOrExit, withConfigFlags } from "./config-flags.js";

/** `imagestore check-config`: what it prints loads as the same configuration. */
export function checkConfigCommand(): Command {
  return withConfigFlags(new Command("check-config"))
    .description("check the configuration, print it with its defaults, and exit")
    .action(async (flags: Flags) => {
      const config = await loadConfigOrExit(flags);
      const { tls } = config.listen;
      if (tls) {
        const { readTlsFiles } = await import("../access/tls-files.js");
        const files = readTlsFiles(tls);
        if (!files.ok) exitWithReason(files.failure.message);
      }
      const { caFile } = config.images;
      if (caFile !== undefined) {
        const { readImageCa } = await import("../config/image-ca.js");
        const ca = readImageCa(caFile);
        if (!ca.ok) exitWithReason(ca.failure.message);
      }
      process.stdout.write(`${JSON.stringify(config, null, 2)}\n`);
    });
}
