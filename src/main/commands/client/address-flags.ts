import { accessSync, constants, readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import type { Config } from "../../config/schema.js";
import { notEmpty } from "../option-parsers.js";
import { CallFailure, EXIT } from "./call-failure.js";
import {
  type DaemonAddress,
  parseUrl,
  placeOf,
  type TlsFiles,
  URL_RULE,
  urlOf,
  urlOfSocket,
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
}

/** Adds the options that parse to `IdentityFlags`. */
export function withIdentityFlags(command: Command): Command {
  return command
    .option(
      "--token-file <file>",
      "a file that holds your token (default IMAGESTORE_TOKEN_FILE, or none)",
      notEmpty,
    )
    .option(
      "--ca-file <file>",
      "the CA of a daemon with https, in PEM (default IMAGESTORE_CA_FILE, or those of Node)",
      notEmpty,
    )
    .option(
      "--cert-file <file>",
      "your certificate, in PEM (default IMAGESTORE_CERT_FILE, or none)",
      notEmpty,
    )
    .option("--key-file <file>", "its key, in PEM (default IMAGESTORE_KEY_FILE)", notEmpty);
}

/** Adds the options that say where the daemon is, and who calls it. They parse to `AddressFlags`. */
export function withAddressFlags(command: Command): Command {
  const url = new Option(
    "-u, --url <url>",
    "where the daemon listens (default IMAGESTORE_URL, or as the configuration says)",
  );
  return withIdentityFlags(command.addOption(url.argParser(parseUrl)));
}

/** Where the daemon is, as the flag, `IMAGESTORE_URL`, or the configuration of this machine says, and what it is shown. */
export async function addressOf({ url, tokenFile, ...files }: AddressFlags): Promise<DaemonAddress> {
  const file = tokenFile ?? process.env.IMAGESTORE_TOKEN_FILE;
  const headers = file ? { authorization: `Bearer ${read(file, tokenIn)}` } : {};
  return { ...placeOf(url ?? (await knownUrl())), headers, tls: tlsOf(files) };
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

function tlsOf(flags: IdentityFlags): TlsFiles {
  const { env } = process;
  const ca = flags.caFile ?? env.IMAGESTORE_CA_FILE;
  const cert = flags.certFile ?? env.IMAGESTORE_CERT_FILE;
  const key = flags.keyFile ?? env.IMAGESTORE_KEY_FILE;
  if (Boolean(cert) !== Boolean(key)) {
    throw new CallFailure("a certificate and its key go together: --cert-file and --key-file", EXIT.refused);
  }
  const pem = (file: string, name: string) =>
    read(file, (bytes) => {
      if (bytes.includes(`-----BEGIN ${name}`) || bytes.includes(` ${name}-----`)) return bytes;
      throw new Error(`holds no ${name} in PEM`);
    });
  return {
    ...(ca && { ca: pem(ca, "CERTIFICATE") }),
    ...(cert && { cert: pem(cert, "CERTIFICATE") }),
    ...(key && { key: pem(key, "PRIVATE KEY") }),
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
      throw new CallFailure(`IMAGESTORE_URL: ${fromVariable}: ${URL_RULE}`, EXIT.refused);
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
