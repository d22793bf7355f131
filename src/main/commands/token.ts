import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { namePatternProblem } from "../../protocol/access/name-patterns.js";
import { ROLES, type Role } from "../../protocol/access/roles.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { nearestName } from "../../protocol/storage/nearest-name.js";
import type { TokenRecord } from "../access/token-file.js";
import { alignRows, printable } from "../diagnosis/text-layout.js";
import { exitWithReason } from "./config-flags.js";
import { notEmpty } from "./option-parsers.js";

/** Which file of tokens a command is for. */
interface FileFlags {
  readonly config?: string;
  readonly tokens?: string;
}

interface CreateFlags extends FileFlags {
  readonly role: Role;
  readonly label?: string;
  readonly pool?: readonly string[];
  readonly names?: readonly string[];
  readonly expires?: string;
}

const DAY_MS = 24 * 60 * 60 * 1_000;
const UNIT_MS: Readonly<Record<string, number>> = { h: 60 * 60 * 1_000, d: DAY_MS, w: 7 * DAY_MS };
const FILE_NAME = "tokens.json";

/** For commander's `option`: `12h`, `30d`, `8w`, or a date. @returns a date as ISO 8601 has it. */
export function parseExpiry(text: string): string {
  const [, count = "", unit = ""] = /^(\d{1,5})([hdw])$/.exec(text) ?? [];
  const at = unit === "" ? Date.parse(text) : Date.now() + Number(count) * (UNIT_MS[unit] ?? 0);
  if (!/^\d/.test(text) || !Number.isFinite(at)) {
    throw new InvalidArgumentError("must be 12h, 30d, 8w or a date such as 2027-01-31");
  }
  if (at <= Date.now()) throw new InvalidArgumentError("must be in the future");
  return new Date(at).toISOString();
}

function parseNames(pattern: string, before: readonly string[] = []): readonly string[] {
  const problem = namePatternProblem(pattern);
  if (problem !== undefined) throw new InvalidArgumentError(problem);
  return [...before, pattern];
}

/** The file that is named, or that the daemon's configuration names, or the one beside its other records. */
async function fileOf({ config: path, tokens }: FileFlags): Promise<string> {
  if (tokens !== undefined) return tokens;
  // Loaded here and not at the top, because the other commands start faster without.
  const { loadConfig } = await import("../config/load.js");
  const config = loadConfig({ config: path }, process.env);
  if (!config.ok) return exitWithReason(`${config.failure.message}; or name the file with --tokens`);
  return config.value.auth.tokens ?? resolve(config.value.dataDir, FILE_NAME);
}

async function create(flags: CreateFlags): Promise<void> {
  const { changeTokens, makeToken } = await import("../access/token-file.js");
  const file = await fileOf(flags);
  const { role, label, pool, names, expires } = flags;
  const granted = {
    role,
    ...(label !== undefined && { label }),
    ...(pool && { pools: [...pool] }),
    ...(names && { names: [...names] }),
    ...(expires !== undefined && { expires }),
  };
  const { token, record } = makeToken(granted);
  const changed = changeTokens(file, (tokens) => succeed([...tokens, record]));
  if (!changed.ok) exitWithReason(changed.failure.message);
  process.stdout.write(`${token}\n`);
  const note = `token ${record.id} is in ${file}. It is shown once: keep it in a file of mode 600.\n`;
  process.stderr.write(
    process.stdout.isTTY ? `${note}The daemon takes it if its auth.tokens is that file.\n` : note,
  );
}

const COLUMNS: readonly (readonly [string, (record: TokenRecord) => string])[] = [
  ["ID", ({ id }) => id],
  ["LABEL", ({ label }) => label ?? "-"],
  ["ROLE", ({ role }) => role],
  ["POOLS", ({ pools }) => pools?.join(",") ?? "all"],
  ["NAMES", ({ names }) => names?.join(",") ?? "all"],
  ["CREATED", ({ created }) => created.slice(0, 10)],
  ["EXPIRES", ({ expires }) => expires?.slice(0, 10) ?? "never"],
];

async function list(flags: FileFlags & { readonly json?: boolean }): Promise<void> {
  const { isExpired, readTokens } = await import("../access/token-file.js");
  const read = readTokens(await fileOf(flags));
  if (!read.ok) return exitWithReason(read.failure.message);
  if (flags.json) {
    const shown = read.value.map((record) => {
      const { hash: _hash, ...told } = record;
      return { ...told, expired: isExpired(record) };
    });
    process.stdout.write(`${JSON.stringify({ tokens: shown })}\n`);
    return;
  }
  const rows = read.value.map((record) =>
    COLUMNS.map(([heading, cell]) =>
      heading === "EXPIRES" && isExpired(record) ? `${cell(record)} (has)` : printable(cell(record)),
    ),
  );
  const table = alignRows([COLUMNS.map(([heading]) => heading), ...rows]);
  process.stdout.write(rows.length === 0 ? "no tokens\n" : `${table.join("\n")}\n`);
}

/** What is left without the token of that id. Fails if there is none. */
function without(tokens: readonly TokenRecord[], id: string): Outcome<readonly TokenRecord[]> {
  const left = tokens.filter((each) => each.id !== id);
  if (left.length < tokens.length) return succeed(left);
  const nearest = nearestName(
    id,
    tokens.map((each) => each.id),
  );
  return fail(
    "internal",
    `there is no token ${id}${nearest === undefined ? "" : `: did you mean ${nearest}?`}`,
  );
}

async function revoke(ids: readonly string[], flags: FileFlags): Promise<void> {
  const { changeTokens } = await import("../access/token-file.js");
  const changed = changeTokens(await fileOf(flags), (tokens) => {
    let left: Outcome<readonly TokenRecord[]> = succeed(tokens);
    for (const id of ids) if (left.ok) left = without(left.value, id);
    return left;
  });
  if (!changed.ok) exitWithReason(changed.failure.message);
}

function fileCommand(name: string, summary: string): Command {
  return new Command(name)
    .description(summary)
    .option("-c, --config <file>", "the daemon's configuration file (JSON)", notEmpty)
    .option("--tokens <file>", "the file of tokens (default as the configuration says)", notEmpty);
}

/** `imagestore token`: who may call the daemon, by the file that it reads. */
export function tokenCommand(): Command {
  const role = new Option("-r, --role <role>", "what it allows").choices([...ROLES]).makeOptionMandatory();
  return new Command("token")
    .description("make, list and revoke tokens, by which the daemon knows its callers")
    .addCommand(
      fileCommand("create", "make a token, and print it")
        .addOption(role)
        .option("-l, --label <text>", "for whom or what it is", notEmpty)
        .option("--pool <pool...>", "only for these pools", undefined)
        .addOption(
          new Option("--names <pattern...>", "only for what these cover, such as guests/team-a-*").argParser(
            parseNames,
          ),
        )
        .option("--expires <when>", "12h, 30d, 8w or a date (default never)", parseExpiry)
        .action(create),
    )
    .addCommand(fileCommand("list", "list the tokens").option("--json", "print them as JSON").action(list))
    .addCommand(
      fileCommand("revoke", "have the daemon refuse tokens, within a second or two")
        .argument("<id...>", "as token list shows them")
        .action(revoke),
    );
}
