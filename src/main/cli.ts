#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
import { imageCommand } from "./commands/image/image-command.js";
import { notEmpty } from "./commands/option-parsers.js";
import { type Flags, loadConfig } from "./config/load.js";
import type { Config } from "./config/schema.js";
import { createLog } from "./observability/log.js";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

/** One line on stderr and exit status 1: what an operator needs to see. */
function refuseToRun(message: string): never {
  process.stderr.write(`imagestore: ${message}\n`);
  process.exit(1);
}

function configOrExit(flags: Flags): Config {
  const config = loadConfig(flags, process.env);
  if (!config.ok) refuseToRun(config.failure.message);
  return config.value;
}

async function serve(flags: Flags): Promise<void> {
  const config = configOrExit(flags);
  const log = createLog(config.log.level);
  // The other commands need none of it.
  const { startDaemon } = await import("./daemon.js");
  process.on("unhandledRejection", (error) => log.error({ err: error }, "unhandled rejection"));
  const started = await startDaemon(config, log);
  if (!started.ok) {
    const { message, detail } = started.failure;
    log.debug({ detail }, "start failed");
    refuseToRun(message);
  }
  const daemon = started.value;
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    // At once: process.exit would wait for the threads, and sqlite3 aborts when it is cut short.
    if (++signals > 1) process.kill(process.pid, "SIGKILL");
    log.info({ signal }, "stopping");
    daemon.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "could not stop in order");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  const { host, port, transport } = daemon;
  log.info({ host, port, transport, pools: [...daemon.actors.keys()], version }, "listening");
  const url = `http://${host}:${port}`;
  process.stdout.write(`imagestore ${version} listening on ${url}\n`);
  if (config.pools[0]?.driver === "embedded") process.stdout.write(linesToTry(url));
}

/** What to paste first, for somebody who has just started an embedded pool. */
function linesToTry(url: string): string {
  const call = (method: string, params: string) =>
    `  curl -s ${url}/rpc -H 'Content-Type: application/json' -d '{"jsonrpc":"2.0","method":"${method}","params":${params},"id":1}'\n`;
  return [
    "try:\n",
    call("CreateGuestDisks", '{"guest":{"id":"try","disks":[{"size":64}]}}'),
    call("CreateSnapshot", '{"id":"guests/try/disk-0","dest":"first"}'),
    `  curl -sSf -o first.zfs '${url}/snapshots/download?id=guests/try/disk-0@first'\n`,
  ].join("");
}

function withFlags(command: Command): Command {
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
    .option(
      "-i, --image-service <host>",
      "image service, HOST or HOST:PORT (default image.services.lochness.local)",
      notEmpty,
    )
    .option("-d, --data-dir <folder>", "where image records are kept (default /var/lib/imagestore)", notEmpty)
    .option("--transport <name>", "auto, uws or node (default auto)", notEmpty);
}

const program = new Command("imagestore")
  .description("Guest disks and ZFS pools of a hypervisor node, as JSON-RPC over HTTP")
  .version(version);

withFlags(program.command("serve", { isDefault: true }))
  .description("run the daemon")
  .action((flags: Flags) => serve(flags));

withFlags(program.command("check-config"))
  .description("check the configuration, print it with its defaults, and exit")
  .action((flags: Flags) => {
    process.stdout.write(`${JSON.stringify(configOrExit(flags), null, 2)}\n`);
  });

program.addCommand(imageCommand());

await program.parseAsync();
