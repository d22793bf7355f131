import crypto, { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { codeOf, messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { grantMembers } from "../config/grant-settings.js";

/** What a token begins with, so that people and scanners of secrets know it. */
const PREFIX = "ist_";
const TOKEN_BYTES = 32;
const ID_BYTES = 6;

const tokenRecord = z.strictObject({
  /** Names it in logs and commands; no secret. */
  id: z.string().min(1),
  label: z.string().max(200).optional(),
  /** SHA-256 of the token, in hex. A token has 256 random bits, so this tells nothing of it. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  ...grantMembers,
  created: z.iso.datetime(),
  expires: z.iso.datetime().optional(),
});

const tokenFile = z.strictObject({ version: z.literal(1), tokens: z.array(tokenRecord) });

/** A token as the file has it. */
export type TokenRecord = Readonly<z.output<typeof tokenRecord>>;

/** Every request with a token needs it. Releases of Node before 20.12 lack `hash`, which takes a third of the time. */
export function hashOf(token: string): string {
  return crypto.hash?.("sha256", token, "hex") ?? createHash("sha256").update(token).digest("hex");
}

/** A new token with its record. The token is nowhere but here. */
export function makeToken(granted: Pick<TokenRecord, "label" | "role" | "pools" | "names" | "expires">): {
  readonly token: string;
  readonly record: TokenRecord;
} {
  const token = `${PREFIX}${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  const id = randomBytes(ID_BYTES).toString("hex");
  return { token, record: { id, hash: hashOf(token), created: new Date().toISOString(), ...granted } };
}

export function isExpired({ expires }: TokenRecord, now = Date.now()): boolean {
  return expires !== undefined && Date.parse(expires) <= now;
}

/** Others than its owner may neither read nor write it. */
const OPEN_TO_OTHERS = 0o077;

/**
 * The tokens of a file; none if it is not there. Fails, with one line for the administrator: it can't be read,
 * others may read or write it, or it is no list of tokens.
 */
export function readTokens(path: string): Outcome<readonly TokenRecord[]> {
  let text: string;
  try {
    const mode = statSync(path).mode & 0o777;
    if ((mode & OPEN_TO_OTHERS) !== 0) {
      return fail(
        "internal",
        `${path}: its mode is ${mode.toString(8)}, so others may use it: chmod 600 ${path}`,
      );
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    return codeOf(error) === "ENOENT" ? succeed([]) : fail("internal", `${path}: ${messageOf(error)}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return fail("internal", `${path}: no list of tokens: ${messageOf(error)}`);
  }
  const parsed = parseTokens(value);
  return parsed.ok ? parsed : fail("internal", `${path}: no list of tokens: ${parsed.failure.message}`);
}

function parseTokens(value: unknown): Outcome<readonly TokenRecord[]> {
  const { success, data, error } = tokenFile.safeParse(value);
  if (success) return succeed(data.tokens);
  const [issue] = error.issues;
  return fail("request.invalid", issue ? `${issue.path.join(".")}: ${issue.message}` : error.message);
}

/**
 * Changes the tokens of a file, which is made where it is missing. It is replaced as a whole, and only
 * one change is made at a time. Fails as readTokens does, as `change` does, and if another change is being made.
 */
export function changeTokens(
  path: string,
  change: (tokens: readonly TokenRecord[]) => Outcome<readonly TokenRecord[]>,
): Outcome<null> {
  const next = `${path}.new`;
  let file: number;
  try {
    file = openSync(next, "wx", 0o600);
  } catch (error) {
    const why =
      codeOf(error) === "EEXIST"
        ? "another command is changing the tokens; if none is, it was killed: remove this file"
        : messageOf(error);
    return fail("internal", `${next}: ${why}`);
  }
  let isDone = false;
  try {
    const before = readTokens(path);
    const tokens = before.ok ? change(before.value) : before;
    if (!tokens.ok) return tokens;
    const checked = parseTokens({ version: 1, tokens: tokens.value });
    if (!checked.ok) return checked;
    writeSync(file, `${JSON.stringify({ version: 1, tokens: checked.value }, null, 2)}\n`);
    fchmodSync(file, 0o600);
    // The daemon may run as another user than whoever makes tokens.
    const { uid, gid } = ownerOf(path);
    if (process.getuid?.() === 0) fchownSync(file, uid, gid);
    fsyncSync(file);
    renameSync(next, path);
    isDone = true;
    return succeed(null);
  } catch (error) {
    return fail("internal", `${path}: ${messageOf(error)}`);
  } finally {
    closeSync(file);
    if (!isDone) rmSync(next, { force: true });
  }
}

/** Whose a file is; of one that is not there, whose its folder is. */
function ownerOf(path: string): { readonly uid: number; readonly gid: number } {
  try {
    return statSync(path);
  } catch {
    return statSync(dirname(path));
  }
}
