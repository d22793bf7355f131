import { text as textOf } from "node:stream/consumers";
import { Command } from "commander";
import { messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { Config } from "../config/schema.js";
import {
  addressOf,
  chooseContext,
  type IdentityFlags,
  urlIn,
  withIdentityFlags,
} from "./client/address-flags.js";
import { CallFailure, EXIT, exitWithFailure } from "./client/call-failure.js";
import { parseUrl, urlOf } from "./client/daemon-address.js";
import { NoAnswer, requestDaemon } from "./client/daemon-request.js";
import { notEmpty } from "./option-parsers.js";

interface DiagnoseFlags extends IdentityFlags {
  readonly config?: string;
  readonly url?: URL;
  readonly context?: string;
}

/** How long the daemon may take. Its own limits are shorter, so it hangs itself if it takes longer. */
const ANSWER_LIMIT_MS = 10_000;

/** Asks the daemon. Fails with why there is no diagnosis. */
async function askDaemon(url: URL, { context, ...identity }: DiagnoseFlags): Promise<Outcome<string>> {
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  try {
    const address = await addressOf({ ...identity, ...(context === undefined ? { url } : { context }) });
    const reply = await requestDaemon(address, new URL("/diagnose", address.base), { signal, agent: false });
    const text = await textOf(reply);
    if (reply.statusCode === 200) return succeed(text);
    return fail("internal", `HTTP status ${reply.statusCode}: ${text.trim().split("\n")[0]}`);
  } catch (error) {
    if (signal.aborted) return fail("internal", `nothing came within ${ANSWER_LIMIT_MS / 1_000} s`);
    return fail("internal", error instanceof NoAnswer ? error.why : messageOf(error));
  }
}

/** The port of the daemon that was asked, also where it was asked by its socket. */
function portOf(asked: URL | undefined, config: Outcome<Config>): URL | undefined {
  if (asked?.protocol !== "unix:") return asked;
  return config.ok && config.value.listen.port > 0 ? urlOf(config.value.listen) : undefined;
}

/** Where the daemon of `--context` listens. Ends the process with a line where there is no such context. */
function urlOfNamed({ context }: DiagnoseFlags): URL | undefined {
  try {
    const named = context === undefined ? undefined : chooseContext({ context }, process.env);
    return named && parseUrl(named.url);
  } catch (error) {
    exitWithFailure(error);
  }
}

async function diagnose(flags: DiagnoseFlags): Promise<void> {
  if (flags.url && flags.context !== undefined) {
    exitWithFailure(new CallFailure("give --url or --context, not both", EXIT.refused));
  }
  // Loaded here and not at the top, because the other commands start faster without.
  const { loadConfig, unknownVariables } = await import("../config/load.js");
  const { diagnoseWithoutDaemon } = await import("../diagnosis/without-daemon.js");
  for (const line of unknownVariables(process.env)) process.stderr.write(`imagestore: warning: ${line}\n`);
  const config = loadConfig({ config: flags.config }, process.env);
  const asked = flags.url ?? urlOfNamed(flags) ?? (config.ok ? urlIn(config.value.listen) : undefined);
  const answer = asked
    ? await askDaemon(asked, flags)
    : fail("internal", "its address is not known from the configuration: give --url");
  const text = answer.ok
    ? answer.value
    : await diagnoseWithoutDaemon({
        asked,
        port: portOf(asked, config),
        why: answer.failure.message,
        config,
      });
  // Not process.exit: a pipe takes a long text in pieces.
  process.exitCode = answer.ok ? 0 : 1;
  process.stdout.write(text);
}

/** `imagestore diagnose`: what the daemon does and waits for, or what can be found without it (status 1). */
export function diagnoseCommand(): Command {
  return withIdentityFlags(new Command("diagnose"))
    .description("tell what the daemon does and waits for, as a text for a report")
    .option("-c, --config <file>", "the daemon's configuration file (JSON)", notEmpty)
    .option("-u, --url <url>", "where the daemon listens (default as the configuration says)", parseUrl)
    .option("--context <name>", "one of your contexts, instead", notEmpty)
    .action(diagnose);
}
