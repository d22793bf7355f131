import {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from "node:http";
import { request as requestHttps } from "node:https";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { CallFailure, EXIT } from "./call-failure.js";
import { type DaemonAddress, nameOf } from "./daemon-address.js";

/** Nobody answers. */
export class NoAnswer extends CallFailure {
  /** Without the address. */
  readonly why: string;

  constructor(address: DaemonAddress, why: string) {
    super(`no answer from ${nameOf(address)}: ${why}`, EXIT.unreachable);
    this.why = why;
  }
}

/** Codes of OpenSSL for a certificate that no known CA has signed. */
const UNKNOWN_CA: readonly string[] = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];

/** Of failed look-ups of a name: none knows it, and no DNS server answers. */
const NO_NAME: Readonly<Record<string, string>> = {
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "its name can't be looked up now",
};

function whyOf(error: Error): string {
  const code = codeOf(error);
  if (code === "ECONNREFUSED") return "nothing listens there";
  const nameless = NO_NAME[code];
  if (nameless !== undefined) return nameless;
  if (UNKNOWN_CA.includes(code)) return "its certificate is of no CA that is known here: give --ca-file";
  return messageOf(error);
}

/**
 * Sends a request to the daemon for a URL below its address, and resolves with the head of the reply.
 * Rejects with NoAnswer if there is none. `onSent` may set the request's deadlines. A `body` that is a stream is sent until there
 * is a reply.
 */
export function requestDaemon(
  address: DaemonAddress,
  url: URL,
  { headers, body, ...options }: RequestOptions & { readonly body?: string | Readable },
  onSent: (sent: ClientRequest) => void = () => {},
): Promise<IncomingMessage> {
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  const { socketPath } = address;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        ...options,
        ...address.tls,
        headers: { ...address.headers, ...headers },
        ...(socketPath !== undefined && { socketPath }),
      },
      resolve,
    );
    sent.on("error", (error) => {
      reject(new NoAnswer({ ...address, base: url }, whyOf(error)));
    });
    onSent(sent);
    if (typeof body === "string" || body === undefined) {
      sent.end(body);
      return;
    }
    body.on("error", (error) => sent.destroy(error));
    sent.once("response", () => body.unpipe(sent));
    body.pipe(sent);
  });
}

/** The body of a reply. Rejects with NoAnswer where it breaks. */
export function textOfReply(address: DaemonAddress, reply: IncomingMessage): Promise<string> {
  return text(reply).catch((error: unknown) => {
    throw new NoAnswer(address, messageOf(error));
  });
}
