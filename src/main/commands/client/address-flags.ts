import { accessSync, constants, readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import type { Config } from "../../config/schema.js";
import { notEmpty } from "../option-parsers.js";
import { CallFailure, EXIT } from "./call-failure.js";
import { type DaemonAddress, parseUrl, placeOf, URL_RULE, urlOf, urlOfSocket } from "./daemon-address.js";

export interface AddressFlags {
  readonly url?: URL;
  readonly tokenFile?: string | undefined;
}

/** Adds the option that names the caller's token. */
export function withTokenFile(command: Command): Command {
  return command.option(
    "--token-file <file>",
    "a file that holds your token (default IMAGESTORE_TOKEN_FILE, or none)",
    notEmpty,
  );
}

/** Adds the options that say where the daemon is, and who calls it. They parse to `AddressFlags`. */
export function withAddressFlags(command: Command): Command {
  const url = new Option(
    "-u, --url <url>",
    "where the daemon listens (default IMAGESTORE_URL, or as the configuration says)",
  );
  return withTokenFile(command.addOption(url.argParser(parseUrl)));
}

/** Where the daemon is, as the flag, `IMAGESTORE_URL`, or the configuration of this machine says, and the token for it. */
export async function addressOf({ url, tokenFile }: AddressFlags): Promise<DaemonAddress> {
  const file = tokenFile ?? process.env.IMAGESTORE_TOKEN_FILE;
  const headers = file ? { authorization: `Bearer ${readToken(file)}` } : {};
  return { ...placeOf(url ?? (await knownUrl())), headers };
}

function readToken(file: string): string {
  try {
    const token = readFileSync(file, "utf8").trim();
    if (/^[\x21-\x7e]+$/.test(token)) return token;
    throw new Error("must hold one token, and nothing else");
  } catch (error) {
    throw new CallFailure(`${file}: ${messageOf(error)}`, EXIT.refused);
  }
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
