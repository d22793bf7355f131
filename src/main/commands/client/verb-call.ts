import { readJson, tokenOf } from "../../../protocol/json-rpc/json.js";
import type { DaemonAddress } from "./daemon-address.js";
import { callDaemon } from "./daemon-client.js";
import { stepsOf } from "./dry-run-steps.js";
import { type ShownRecord, shownKind } from "./record-tables.js";
import type { Verb } from "./verb.js";

/** So many records of a list are asked for at once. */
const PAGE = 1_000;
/** So many lines of the audit file are shown, unless somebody wants more. */
const DEFAULT_LINES = 100;

/** What a verb's calls have answered: their records, and all of it as one JSON text. */
export interface VerbAnswer {
  readonly records: readonly ShownRecord[];
  readonly text: string;
  /** What somebody should know beside them. */
  readonly warnings: readonly string[];
}

type Params = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is ShownRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The records below a member of an answer; of a guest, its disks. */
function recordsIn(value: unknown, member: string): readonly ShownRecord[] {
  if (!isRecord(value)) return [];
  if (isRecord(value.guest) && !(member in value)) return recordsIn(value.guest, member);
  const records = value[member];
  return Array.isArray(records) ? records.filter(isRecord) : [];
}

/** The texts of the elements of an array that is a member of an answer. */
function tokensIn(answer: string, member: string): readonly string[] {
  const read = readJson(answer);
  if ("problem" in read) return [];
  const list = read.value.items[read.value.keys.indexOf(member)];
  return list?.items.map(tokenOf) ?? [];
}

const damagedText = (id: unknown) => `the manifest of the backup ${id} can't be used: it can't be restored`;

/** Where the answer has a guest, its members are in an object of their own. */
function requestOf({ records }: Verb, params: Params): Params {
  if (records !== "disks") return params;
  const { pool, dryRun, ...guest } = params;
  return { guest, pool, dryRun };
}

/** Asks for lines of the audit file, until there are as many as are wanted. */
async function callForLines(
  address: DaemonAddress,
  { method }: Verb,
  params: Params,
  call: typeof callDaemon,
): Promise<VerbAnswer> {
  const records: ShownRecord[] = [];
  const texts: string[] = [];
  let skipped = 0;
  const most = Number(params.limit ?? DEFAULT_LINES);
  for (let after = ""; ; ) {
    const limit = Math.min(PAGE, most - records.length);
    const { value, text } = await call(address, method, { ...params, limit, after });
    records.push(...recordsIn(value, "lines"));
    texts.push(...tokensIn(text, "lines"));
    const answer = Object(value);
    skipped += Number(answer.skipped);
    if (typeof answer.next !== "string" || records.length >= most) {
      return { warnings: [], records, text: `{"lines":[${texts.join(",")}],"skipped":${skipped}}` };
    }
    after = answer.next;
  }
}

/** Calls the method of a verb by `call`; of a list, for one page after the other. Rejects as `call` does. */
export async function callVerb(
  address: DaemonAddress,
  verb: Verb,
  params: Params,
  call = callDaemon,
): Promise<VerbAnswer> {
  const { method, isList } = verb;
  const kind = shownKind(verb, params);
  const member = kind === "properties" ? "volumes" : kind;
  const request = requestOf(verb, params);
  if (!isList) {
    const { value, text } = await call(address, method, request);
    const { warnings = [] } = Object(value);
    return {
      records: verb.steps && kind === "steps" ? stepsOf(verb.steps, value) : recordsIn(value, member),
      text,
      warnings: Array.isArray(warnings) ? warnings.map(String) : [],
    };
  }
  if (kind === "lines") return callForLines(address, verb, request, call);
  const records: ShownRecord[] = [];
  const texts: string[] = [];
  const warnings: string[] = [];
  for (let after = ""; ; ) {
    const { value, text } = await call(address, method, { ...request, limit: PAGE, after });
    const page = recordsIn(value, member);
    records.push(...page);
    texts.push(...tokensIn(text, member));
    for (const id of Object(value).damaged ?? []) warnings.push(damagedText(id));
    if (page.length < PAGE) return { records, warnings, text: `{"${member}":[${texts.join(",")}]}` };
    after = String(page.at(-1)?.id);
  }
}
