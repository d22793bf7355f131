import {
  type FailedOutcome,
  fail,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import type { SendFlag } from "../../../protocol/storage/send-terms.js";
import { failureOf } from "../../processes/command-failures.js";
import { succeeded } from "../../processes/run-command.js";
import type { ResumeToken } from "../transfers-of-driver.js";
import { estimateIn } from "./send-looks.js";
import type { ZfsCommands } from "./zfs-commands.js";

/** The members of a token that are known, and the flag that each stands for. */
const MEMBERS: Readonly<Record<string, SendFlag | undefined>> = {
  fromguid: undefined,
  object: undefined,
  offset: undefined,
  bytes: undefined,
  toguid: undefined,
  toname: undefined,
  compressok: "compressed",
  largeblockok: "largeBlock",
  embedok: "embedData",
  rawok: "raw",
};

const MEMBER = /^\t(\w+) = (.*)$/;

const refuse = (why: string): FailedOutcome =>
  tellAbout(fail("request.invalid", `resume: ${why}`), { field: "resume" });

/**
 * The members in what `zfs send -nv -t` prints. Whoever has made the token has chosen its texts: a name with
 * a line end in it shows as a member twice, or as a line that is none. Undefined: it is not as zfs makes one.
 */
function membersIn(lines: readonly string[]): ReadonlyMap<string, string> | undefined {
  const members = new Map<string, string>();
  for (const line of lines) {
    const [, name = "", value = ""] = MEMBER.exec(line) ?? [];
    if (!Object.hasOwn(MEMBERS, name) || members.has(name)) return undefined;
    members.set(name, value);
  }
  return members;
}

function guidOf(hex: string | undefined): string | undefined {
  return hex !== undefined && /^0x[0-9a-f]{1,16}$/.test(hex) ? BigInt(hex).toString() : undefined;
}

/** Reads what `zfs send -nvP -t` prints of a token, before its last lines: what would be sent. */
export function parseTokenText(text: string): Omit<ResumeToken, "sends"> | undefined {
  const [title, version, ...rest] = text.split("\n");
  if (title !== "resume token contents:" || version !== "nvlist version: 0") return undefined;
  const end = rest.findIndex((line) => !line.startsWith("\t"));
  const members = membersIn(rest.slice(0, end < 0 ? rest.length : end));
  const [toName, toGuid] = [members?.get("toname"), guidOf(members?.get("toguid"))];
  if (!members || toName === undefined || toGuid === undefined) return undefined;
  const fromHex = members.get("fromguid");
  const fromGuid = guidOf(fromHex);
  if (fromHex !== undefined && fromGuid === undefined) return undefined;
  const flags = [...members.keys()].flatMap((name) => MEMBERS[name] ?? []);
  const bytes = guidOf(members.get("bytes"));
  return { toName, toGuid, fromGuid, flags, ...(bytes !== undefined && { bytes: Number(bytes) }) };
}

/** The snapshot that `zfs send -nvP` would send: the last name on its one line for a stream. */
const SENT = /^(?:full|incremental\t[^\t\n]+)\t([^\t\n]+)\t\d+$/m;

/** How a token begins that zfs has written: its version. */
const ZFS_TOKEN = "1-";

/** Has zfs read a token of a client, and say what it would send for it. */
export async function readResumeToken(
  { zfs }: Pick<ZfsCommands, "zfs">,
  token: string,
): Promise<Outcome<ResumeToken>> {
  if (!token.startsWith(ZFS_TOKEN)) {
    return refuse(
      "the token is an embedded pool's, and zfs knows only its own: send the stream from its beginning",
    );
  }
  const end = await zfs(["send", "-nvP", "-t", token]);
  const read = parseTokenText(end.stdout);
  if (!read) return succeeded(end) ? refuse("the token has what is not known here") : failureOf(end);
  if (!succeeded(end)) return succeed({ ...read, sends: failureOf(end) });
  const [, name] = SENT.exec(end.stdout) ?? [];
  if (name === undefined) return refuse("zfs does not say what it would send");
  return succeed({ ...read, sends: succeed({ name, estimatedBytes: estimateIn(end.stdout) }) });
}
