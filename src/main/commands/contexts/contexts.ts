import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { unknownName } from "../../../protocol/storage/nearest-name.js";
import { CallFailure, EXIT } from "../client/call-failure.js";

/** A daemon by a name of its user's. */
export interface Context {
  readonly name: string;
  /** `http://HOST:PORT`, `https://…`, or `unix:/PATH`. */
  readonly url: string;
  /** Absolute paths. */
  readonly tokenFile?: string | undefined;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** All of a user's contexts. `current` is the name of one that is there. */
export interface Contexts {
  readonly current?: string | undefined;
  readonly contexts: readonly Context[];
}

const FILES = ["tokenFile", "caFile", "certFile", "keyFile"] as const;
const NONE: Contexts = { contexts: [] };
/** Whoever may write to it could have a token sent to himself. */
const WRITABLE_BY_OTHERS = 0o022;
const LOCK_MS = 2_000;
const LOCK_TRY_MS = 20;

/** Where a user's contexts are. Source: the XDG base directory specification, which has absolute paths only. */
export function contextsFile(env: NodeJS.ProcessEnv): string {
  const { XDG_CONFIG_HOME: xdg = "" } = env;
  const folder = xdg.startsWith("/") ? xdg : join(env.HOME || homedir(), ".config");
  return join(folder, "imagestore", "contexts.json");
}

/** Why a text is no name of a context; undefined if it is one. */
export function contextNameProblem(name: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(name)
    ? undefined
    : "must be up to 64 letters, digits, and _ . - behind the first";
}

const isOptionalText = (value: unknown) => value === undefined || typeof value === "string";

function isContext(value: unknown): value is Context {
  if (typeof value !== "object" || value === null) return false;
  const { name, url, ...files }: { [key in keyof Context]?: unknown } = value;
  if (typeof name !== "string" || contextNameProblem(name) !== undefined) return false;
  return typeof url === "string" && FILES.every((key) => isOptionalText(files[key]));
}

/** Throws an Error with what is wrong. */
function parseContexts(text: string): Contexts {
  const value: unknown = JSON.parse(text);
  const { current, contexts }: { readonly current?: unknown; readonly contexts?: unknown } =
    typeof value === "object" && value !== null ? value : {};
  if (!Array.isArray(contexts)) throw new Error("it has no list `contexts`");
  const known: Context[] = [];
  for (const [index, each] of contexts.entries()) {
    if (!isContext(each)) throw new Error(`contexts[${index}] is no context`);
    if (known.some(({ name }) => name === each.name)) throw new Error(`it has ${each.name} twice`);
    known.push(each);
  }
  if (current === undefined) return { contexts: known };
  const isKnown = known.some(({ name }) => name === current);
  if (typeof current !== "string" || !isKnown) throw new Error("its `current` is none of its contexts");
  return { current, contexts: known };
}

/** The contexts of a file; none where it is not there. Throws a CallFailure if it can't be used. */
export function readContexts(file: string): Contexts {
  try {
    const mode = statSync(file).mode & 0o777;
    if ((mode & WRITABLE_BY_OTHERS) !== 0) {
      throw new Error(`its mode is ${mode.toString(8)}, so others may change it: chmod 600 ${file}`);
    }
    return parseContexts(readFileSync(file, "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return NONE;
    throw new CallFailure(`${file}: no contexts can be read: ${messageOf(error)}`, EXIT.refused);
  }
}

/** The context with a name. Throws a CallFailure that names the nearest. */
export function contextNamed({ contexts }: Contexts, name: string): Context {
  const found = contexts.find((each) => each.name === name);
  if (found) return found;
  const known = contexts.map((each) => each.name);
  const hint = known.length > 0 ? unknownName(name, known) : "imagestore context add makes one";
  throw new CallFailure(`there is no context ${name}: ${hint}`, EXIT.notFound);
}

/** Takes the lock of a file: only one command changes it at a time. @returns what gives it back. */
async function lock(file: string): Promise<() => void> {
  const path = `${file}.lock`;
  for (const end = performance.now() + LOCK_MS; ; await sleep(LOCK_TRY_MS)) {
    try {
      closeSync(openSync(path, "wx", 0o600));
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
      if (performance.now() > end) {
        throw new Error("another command is changing them; if none is, it was killed: remove this file", {
          cause: path,
        });
      }
    }
  }
}

/** Replaces a file as a whole, so that nobody reads half of it. Of a symbolic link, that to which it leads. */
function replace(file: string, text: string): void {
  let target = file;
  try {
    target = realpathSync(file);
  } catch {
    // It is made now.
  }
  const next = `${target}.${randomBytes(6).toString("hex")}.new`;
  try {
    const opened = openSync(next, "wx", 0o600);
    try {
      writeSync(opened, text);
      fsyncSync(opened);
    } finally {
      closeSync(opened);
    }
    renameSync(next, target);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}

/**
 * Changes the contexts of a file, which only its owner may read, and makes it where it is missing. Rejects
 * with a CallFailure: as readContexts does, as `change` does, or if it can't be written.
 */
export async function changeContexts(file: string, change: (before: Contexts) => Contexts): Promise<void> {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const unlock = await lock(file);
    try {
      replace(file, `${JSON.stringify(change(readContexts(file)), null, 2)}\n`);
    } finally {
      unlock();
    }
  } catch (error) {
    if (error instanceof CallFailure) throw error;
    const where = error instanceof Error && typeof error.cause === "string" ? error.cause : file;
    throw new CallFailure(`${where}: ${messageOf(error)}`, EXIT.other);
  }
}
