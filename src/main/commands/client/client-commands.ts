import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { notEmpty } from "../option-parsers.js";
import { addressOf, withAddressFlags } from "./address-flags.js";
import { exitWithFailure } from "./call-failure.js";
import {
  type ClientFlags,
  clientCommand,
  endWithReader,
  parseSeconds,
  shownWhile,
  tableStyle,
  withTableFlags,
} from "./client-flags.js";
import type { DaemonAddress } from "./daemon-address.js";
import type { DownloadOptions } from "./download-snapshot.js";
import { recordLines, shownKind } from "./record-tables.js";
import type { ReceiveFlags } from "./sent-volume.js";
import type { Verb } from "./verb.js";
import type { VerbAnswer } from "./verb-call.js";
import { VERBS } from "./verbs.js";

const DEFAULT_WATCH_S = 2;

type Params = Readonly<Record<string, unknown>>;

/** Calls a verb once. A person who mistyped a name is told the nearest. */
async function answerOf(address: DaemonAddress, verb: Verb, params: Params): Promise<VerbAnswer> {
  // Loaded here: node:http brings much along, which the commands of images run without.
  const { callVerb } = await import("./verb-call.js");
  try {
    if (verb.lasts && params.dryRun !== true && process.stderr.isTTY) {
      const { callShown } = await import("./shown-job.js");
      return await callVerb(address, verb, params, callShown);
    }
    return await shownWhile(`imagestore ${verb.group} ${verb.name}`, callVerb(address, verb, params));
  } catch (error) {
    if (!process.stderr.isTTY) throw error;
    const { withNearest } = await import("./nearest-record.js");
    throw await withNearest(error, address, verb, params);
  }
}

async function askFirst(address: DaemonAddress, verb: Verb, params: Params): Promise<void> {
  const { canAsk, confirm } = await import("./confirm.js");
  if (!canAsk()) return;
  const { destructionOf } = await import("./destruction.js");
  const { withNearest } = await import("./nearest-record.js");
  const destruction = await destructionOf(address, verb, params).catch(async (error: unknown) => {
    throw await withNearest(error, address, verb, params);
  });
  if (destruction) await confirm(destruction);
}

async function run(verb: Verb, given: Params, flags: ClientFlags): Promise<void> {
  const address = await addressOf(flags);
  const params: Params = { ...given, pool: flags.pool };
  if (verb.destroys !== undefined && !flags.yes && params.dryRun !== true)
    await askFirst(address, verb, params);
  const lines = async () => {
    const { text, records, warnings } = await answerOf(address, verb, params);
    for (const each of warnings) process.stderr.write(`warning: ${each}\n`);
    return flags.json ? [text] : recordLines(shownKind(verb, params), records, tableStyle(flags));
  };
  if (flags.watch === undefined) {
    process.stdout.write((await lines()).map((line) => `${line}\n`).join(""));
    return;
  }
  const { watchLines } = await import("./watch.js");
  await watchLines(flags.watch, lines);
}

const poolText = ({ group }: Verb) =>
  group === "audit" ? "only of this pool" : "the pool (default the daemon's first)";

function isReadOnly({ method }: Verb): boolean {
  return /^(List|Get)/.test(method);
}

function verbCommand(verb: Verb): Command {
  const command = clientCommand(verb.name, verb.summary);
  for (const { flags, description, parse } of verb.arguments) {
    command.addArgument(new Argument(flags, description).argParser(parse));
  }
  for (const { flags, description, parse, isRequired } of verb.options) {
    const option = new Option(flags, description).makeOptionMandatory(isRequired === true);
    command.addOption(flags.includes("<") ? option.argParser(parse) : option);
  }
  withTableFlags(command);
  if (verb.group !== "pool") command.option("--pool <pool>", poolText(verb), notEmpty);
  if (isReadOnly(verb)) {
    const watch = new Option("--watch [seconds]", "print it again and again").argParser(parseSeconds);
    command.addOption(watch.preset(DEFAULT_WATCH_S));
  }
  if (verb.destroys !== undefined) {
    command.option("-y, --yes", "don't ask; without a terminal nothing is asked");
  }
  return command.action(async (...given: unknown[]) => {
    const flags = command.opts<ClientFlags & Record<string, unknown>>();
    const params = Object.fromEntries([
      ...verb.arguments.map(({ member }, at) => [member, given[at]]),
      ...verb.options.map((parameter) => [
        parameter.member,
        flags[new Option(parameter.flags).attributeName()],
      ]),
    ]);
    await run(verb, params, flags).catch(exitWithFailure);
  });
}

/** Adds the commands of a group, such as `imagestore volume list`. */
export function addVerbs(group: Command): Command {
  for (const verb of VERBS) if (verb.group === group.name()) group.addCommand(verbCommand(verb));
  return group;
}

/** `imagestore snapshot download`: no method, but a stream of bytes. */
export function downloadCommand(): Command {
  return withAddressFlags(new Command("download"))
    .description("download a snapshot as a stream, which zfs receive and image unpack take")
    .hook("preAction", endWithReader)
    .argument("<snapshot>", "such as guests/g1/disk-0@s1", notEmpty)
    .option(
      "-o, --output <file>",
      "where to write it, - for stdout (default its last part and .zfs)",
      notEmpty,
    )
    .option("-f, --force", "replace a file that is there")
    .option("--pool <pool>", "the pool (default the daemon's first)", notEmpty)
    .option(
      "--from <base>",
      "what the stream builds on: an older snapshot or a bookmark, @s1 or #b1",
      notEmpty,
    )
    .option("--intermediates", "with the snapshots between --from and this one")
    .option("--flags <list>", "compressed, largeBlock, embedData, raw: as zfs send -c, -L, -e, -w", notEmpty)
    .option("--rate <bytes>", "at most so many bytes a second", notEmpty)
    .option("--resume <token>", "go on where a receiver was cut off: its receive_resume_token", notEmpty)
    .action(async (id: string, flags: ClientFlags & DownloadOptions) => {
      try {
        const { downloadSnapshot } = await import("./download-snapshot.js");
        await downloadSnapshot(await addressOf(flags), id, flags);
      } catch (error) {
        exitWithFailure(error);
      }
    });
}

/** `imagestore volume receive`: no method, but a stream of bytes. */
export function receiveCommand(): Command {
  return withTableFlags(
    clientCommand("receive", "make a volume of a stream of zfs send, or bring it up to date"),
  )
    .argument("<volume>", "such as guests/g1/disk-0", notEmpty)
    .argument("[file]", "the stream; - is stdin", notEmpty, "-")
    .option("-f, --force", "destroy what is in the way: newer snapshots, or the volume that is there")
    .option("--pool <pool>", "the pool (default the daemon's first)", notEmpty)
    .option("--token", "take nothing, and print the token by which a stream that broke goes on")
    .action(async (id: string, file: string, flags: ClientFlags & ReceiveFlags & { token?: true }) => {
      try {
        const { receiveToken, receiveVolume } = await import("./sent-volume.js");
        const address = await addressOf(flags);
        if (flags.token) {
          process.stdout.write(`${await receiveToken(address, id, flags)}\n`);
          return;
        }
        const { text, volumes, destroyed } = await receiveVolume(address, id, file, flags);
        for (const each of destroyed) process.stderr.write(`destroyed: ${each}\n`);
        const lines = flags.json ? [text] : recordLines("volumes", volumes, tableStyle(flags));
        process.stdout.write(lines.map((line) => `${line}\n`).join(""));
      } catch (error) {
        exitWithFailure(error);
      }
    });
}

/** `imagestore call METHOD [PARAMS]`: any method, with its parameters and its answer as JSON. */
export function callCommand(): Command {
  const parseParams = (text: string): object => {
    try {
      const params: unknown = JSON.parse(text);
      if (typeof params === "object" && params !== null && !Array.isArray(params)) return params;
    } catch {
      // Told below.
    }
    throw new InvalidArgumentError("must be a JSON object");
  };
  return clientCommand("call", "call a method of the daemon, and print its answer as JSON")
    .argument("<method>", "such as GetImage")
    .addArgument(new Argument("[params]", 'a JSON object, such as {"id":"golden"}').argParser(parseParams))
    .action(async (method: string, params: object | undefined, flags: ClientFlags) => {
      try {
        const { callDaemon } = await import("./daemon-client.js");
        const address = await addressOf(flags);
        const { text } = await shownWhile(method, callDaemon(address, method, params ?? {}));
        process.stdout.write(`${text}\n`);
      } catch (error) {
        exitWithFailure(error);
      }
    });
}
