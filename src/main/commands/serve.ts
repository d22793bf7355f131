import { Command } from "commander";
import type { Logger } from "pino";
import type { Flags } from "../config/load.js";
import type { Daemon } from "../daemon.js";
import { exitWithReason, loadConfigOrExit, withConfigFlags } from "./config-flags.js";
import { paintFor } from "./terminal/paint.js";

/** How long a stop may take after graceMs: for streams, records, and commands that end late. */
const STOP_REST_MS = 50_000;

/**
 * Stops the daemon in order on SIGTERM or SIGINT. A second signal ends the process at once. On SIGHUP it
 * opens its files anew, and reads its certificate.
 */
function stopOnSignals(daemon: Daemon, log: Logger, onStopping: () => void): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    // Not process.exit: it waits for the threads, and sqlite3 aborts when its thread is cut short.
    if (isStopping) process.kill(process.pid, "SIGKILL");
    isStopping = true;
    log.info({ signal }, "stopping");
    onStopping();
    daemon.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "could not stop in order");
        process.exit(1);
      },
    );
  };
  // Where it runs on a terminal, the end of that is the end of the daemon.
  if (!process.stdin.isTTY) process.on("SIGHUP", daemon.reopenFiles);
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

/** Shell commands to try first on a new embedded pool. They work as pasted. */
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

async function serve(flags: Flags, version: string): Promise<void> {
  const config = await loadConfigOrExit(flags);
  // Loaded here and not at the top, because the other commands start faster without the daemon.
  const { createLog } = await import("../observability/log.js");
  const log = createLog(config.log, process.env, paintFor(process.stderr, process.env));
  const { createServiceManager } = await import("../service-manager.js");
  const { startDaemon } = await import("../daemon.js");
  process.on("unhandledRejection", (error) => log.error({ err: error }, "unhandled rejection"));
  const manager = createServiceManager(process.env, log);
  manager.starting(config.pools.map(({ name }) => name));
  const started = await startDaemon(config, log);
  if (!started.ok) {
    const { message, detail, cause } = started.failure;
    log.debug({ detail, cause }, "start failed");
    // The administrator may see what no client may.
    const reason = cause === undefined ? message : `${message} (${cause.split("\n")[0]})`;
    await manager.failed(reason);
    exitWithReason(reason);
  }
  const daemon = started.value;
  const { graceMs, readyMs } = config.timeouts;
  stopOnSignals(daemon, log, () => manager.stopping(graceMs + STOP_REST_MS));
  const { host, port, tls, bulk, transport, connections } = daemon;
  const socket = config.listen.socket?.path;
  log.info(
    {
      host,
      port,
      tls,
      bulk,
      socket,
      transport,
      connections,
      pools: [...daemon.actors.keys()],
      version,
    },
    "listening",
  );
  const url = `http://${host}:${port}`;
  process.stdout.write(`imagestore ${version} listening on ${url}\n`);
  if (tls) process.stdout.write(`and with TLS on https://${tls.host}:${tls.port}\n`);
  if (socket !== undefined) process.stdout.write(`and on the unix socket ${socket}\n`);
  if (bulk) process.stdout.write(`bulk downloads on http://${bulk.host}:${bulk.port}\n`);
  if (config.pools[0]?.driver === "embedded") process.stdout.write(linesToTry(url));
  manager.ready(daemon.readiness, readyMs);
}

/** `imagestore serve`: runs the daemon until a signal stops it. */
export function serveCommand(version: string): Command {
  return withConfigFlags(new Command("serve"))
    .description("run the daemon")
    .option("--recover", "open embedded pools whose catalog is damaged, as well as their files allow")
    .action((flags: Flags) => serve(flags, version));
}
