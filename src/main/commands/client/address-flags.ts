import { accessSync, constants, readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import type { Config } from "../../config/schema.js";
import { type Context, contextNamed, contextsFile, readContexts } from "../contexts/contexts.js";
import { notEmpty } from "../option-parsers.js";
import { CallFailure, EXIT } from "./call-failure.js";
import {
  type DaemonAddress,
  parseUrl,
  placeOf,
  type TlsFiles,
  urlOf,
  urlOfSocket,
  urlProblem,
} from "./daemon-address.js";

/** Files that say who calls, and how a daemon with TLS is known. */
export interface IdentityFlags {
  readonly tokenFile?: string | undefined;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export interface AddressFlags extends IdentityFlags {
  readonly url?: URL;
  /** The name of one of the user's contexts. */
  readonly context?: string | undefined;
}

/** Adds the options that parse to `IdentityFlags`. */
export function withIdentityFlags(command: Command): Command {
  return command
    .option(
      "--token-file <file>",
      "a file that holds your token (default IMAGESTORE_TOKEN_FILE, the context's, or none)",
      notEmpty,
    )
    .option(
      "--ca-file <file>",
      "the CA of a daemon with https, in PEM (default IMAGESTORE_CA_FILE, the context's, or those of Node)",
      notEmpty,
    )
    .option(
      "--cert-file <file>",
      "your certificate, in PEM (default IMAGESTORE_CERT_FILE, the context's, or none)",
      notEmpty,
    )
    .option("--key-file <file>", "its key, in PEM (default IMAGESTORE_KEY_FILE, or the context's)", notEmpty);
}

/** Adds the options that say where the daemon is, and who calls it. They parse to `AddressFlags`. */
export function withAddressFlags(command: Command): Command {
  const url = new Option(
    "-u, --url <url>",
    "where the daemon listens (default IMAGESTORE_URL, the context's, or as the configuration says)",
  );
  return withIdentityFlags(
    command
      .addOption(url.argParser(parseUrl))
      .option(
        "--context <name>",
        "one of your contexts (default IMAGESTORE_CONTEXT, or the current one)",
        notEmpty,
      ),
  );
}

/**
 * The context that a call uses. Undefined: none, or the address is given otherwise, and then what a context holds is
 * not for it. Throws a CallFailure: no such context, or the file is damaged.
 */
export function chooseContext(
  { url, context }: Pick<AddressFlags, "url" | "context">,
  env: NodeJS.ProcessEnv,
): Context | undefined {
  if (url && context !== undefined) {
    throw new CallFailure("give --url or --context, not both", EXIT.refused);
  }
  const file = contextsFile(env);
  if (context !== undefined) return contextNamed(readContexts(file), context);
  if (url || env.IMAGESTORE_URL) return undefined;
  const contexts = readContexts(file);
  const name = env.IMAGESTORE_CONTEXT || contexts.current;
  return name === undefined ? undefined : contextNamed(contexts, name);
}

/** What the flags, the environment and a context name, the first of them that does. */
function identityOf(flags: AddressFlags, context: Context | undefined): IdentityFlags {
  const { env } = process;
  const fromEnvironment: IdentityFlags = {
    tokenFile: env.IMAGESTORE_TOKEN_FILE,
    caFile: env.IMAGESTORE_CA_FILE,
    certFile: env.IMAGESTORE_CERT_FILE,
    keyFile: env.IMAGESTORE_KEY_FILE,
  };
  // Who names a context by a flag means all of it.
  const others = flags.context === undefined ? [fromEnvironment, context] : [context, fromEnvironment];
  const first = (key: keyof IdentityFlags) =>
    flags[key] ?? others.map((each) => each?.[key]).find((file) => file !== undefined && file !== "");
  return {
    tokenFile: first("tokenFile"),
    caFile: first("caFile"),
    certFile: first("certFile"),
    keyFile: first("keyFile"),
  };
}

/**
 * Where the daemon is, and what it is shown: by the flags, the environment, the context, or the configuration of
 * this machine, the first of them that says so. Rejects with a CallFailure.
 */
export async function addressOf(flags: AddressFlags): Promise<DaemonAddress> {
  const context = chooseContext(flags, process.env);
  const place = placeOf(flags.url ?? (context ? urlOfContext(context) : await knownUrl()));
  return { ...place, ...readIdentity(identityOf(flags, context)) };
}

function urlOfContext({ name, url }: Context): URL {
  try {
    return parseUrl(url);
  } catch {
    throw new CallFailure(`context ${name}: ${url}: ${urlProblem(url)}`, EXIT.refused);
  }
}

/** Reads the files of an identity. Throws a CallFailure if one can't be read, or does not hold what it must. */
export function readIdentity(files: IdentityFlags): Pick<DaemonAddress, "headers" | "tls"> {
  const { tokenFile } = files;
  return {
    headers: tokenFile ? { authorization: `Bearer ${read(tokenFile, tokenIn)}` } : {},
    tls: tlsOf(files),
  };
}

/** Calls a function with what a file holds. Throws a CallFailure. */
function read<T>(file: string, parse: (bytes: Buffer) => T): T {
  try {
    return parse(readFileSync(file));
  } catch (error) {
    throw new CallFailure(`${file}: ${messageOf(error)}`, EXIT.refused);
  }
}

function tokenIn(bytes: Buffer): string {
  const token = bytes.toString("utf8").trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Error("must hold one token, and nothing else");
}

function tlsOf({ caFile, certFile, keyFile }: IdentityFlags): TlsFiles {
  if (Boolean(certFile) !== Boolean(keyFile)) {
    throw new CallFailure("a certificate and its key go together: --cert-file and --key-file", EXIT.refused);
  }
  const pem = (file: string, name: string) =>
    read(file, (bytes) => {
      if (bytes.includes(`-----BEGIN ${name}`) || bytes.includes(` ${name}-----`)) return bytes;
      throw new Error(`holds no ${name} in PEM`);
    });
  return {
    ...(caFile && { ca: pem(caFile, "CERTIFICATE") }),
    ...(certFile && { cert: pem(certFile, "CERTIFICATE") }),
    ...(keyFile && { key: pem(keyFile, "PRIVATE KEY") }),
  };
}

/** Where a daemon with this configuration is asked: by its socket, if this user may. Undefined: its port is any. */
export function urlIn({ host, port, socket }: Config["listen"]): URL | undefined {
  if (socket && mayWrite(socket.path)) return urlOfSocket(socket.path);
  return port > 0 ? urlOf({ host, port }) : undefined;
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function knownUrl(): Promise<URL> {
  const fromVariable = process.env.IMAGESTORE_URL;
  if (fromVariable) {
    try {
      return parseUrl(fromVariable);
    } catch {
      throw new CallFailure(`IMAGESTORE_URL: ${fromVariable}: ${urlProblem(fromVariable)}`, EXIT.refused);
    }
  }
  // Loaded here and not at the top: with an address the commands start faster without.
  const { loadConfig } = await import("../../config/load.js");
  const config = loadConfig({}, process.env);
  const url = config.ok ? urlIn(config.value.listen) : undefined;
  if (url) return url;
  const why = config.ok ? "its port is any" : config.failure.message;
  throw new CallFailure(`where the daemon listens is not known (${why}): give --url`, EXIT.refused);
}
