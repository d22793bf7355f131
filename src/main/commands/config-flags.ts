import type { Command } from "commander";
import type { Flags } from "../config/load.js";
import type { Config } from "../config/schema.js";
import { notEmpty } from "./option-parsers.js";

/** Adds the options that every command with a configuration has. They parse to `Flags`. */
export function withConfigFlags(command: Command): Command {
  return command
    .option("-c, --config <file>", "configuration file (JSON)", notEmpty)
    .option("-H, --host <address>", "address to listen on (default 127.0.0.1)", notEmpty)
    .option("-p, --port <port>", "port to listen on (default 19999)", notEmpty)
    .option("-z, --zpool <pools>", "pool to serve, or several with commas (default mistify)", notEmpty)
    .option(
      "-l, --log-level <level>",
      "debug, info, warning, error, fatal or silent (default warning)",
      notEmpty,
    )
    .option("--log-format <format>", "json, or pretty for people (default json)", notEmpty)
    .option(
      "-i, --image-service <host>",
      "image service, HOST or HOST:PORT (default image.services.lochness.local)",
      notEmpty,
    )
    .option("-d, --data-dir <folder>", "where image records are kept (default /var/lib/imagestore)", notEmpty)
    .option(
      "--tokens <file>",
      "serve only callers with one of its tokens (imagestore token create)",
      notEmpty,
    )
    .option("--transport <name>", "auto, uws or node (default auto)", notEmpty);
}

/** Ends the process with status 1 and the reason on stderr. */
export function exitWithReason(reason: string): never {
  process.stderr.write(`imagestore: ${reason}\n`);
  process.exit(1);
}

/** Loads the configuration from the flags, the process's environment and the file they name. */
export async function loadConfigOrExit(flags: Flags): Promise<Config> {
  // Loaded here and not at the top: the image commands need no configuration, and start faster without.
  const { loadConfig, unknownVariables } = await import("../config/load.js");
  for (const line of unknownVariables(process.env)) process.stderr.write(`imagestore: warning: ${line}\n`);
  const config = loadConfig(flags, process.env);
  if (!config.ok) exitWithReason(config.failure.message);
  return config.value;
}
