import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { readJson, tokenOf } from "../../../protocol/json-rpc/json.js";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { FAILURES } from "../../../protocol/storage/failures.js";

/** How a command of the client ends, by what came of its call. */
export const EXIT = {
  other: 1,
  refused: 2,
  unreachable: 3,
  notFound: 4,
  inTheWay: 5,
  noSpace: 6,
  /** EX_TEMPFAIL of sysexits(3): the same may succeed later. */
  tryAgain: 75,
} as const;

/** A call that did not succeed. The message is a line for the user. */
export class CallFailure extends Error {
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

/** The error of a reply of JSON-RPC 2.0, as docs/api.md has it. */
interface ReplyError {
  readonly message: string;
  readonly data?: {
    readonly errno?: string;
    readonly retryable?: boolean;
    readonly detail?: string;
    readonly retryAfter?: number;
  };
}

const STATUS_OF_ERRNO: Readonly<Record<string, number>> = {
  EINVAL: EXIT.refused,
  ENOENT: EXIT.notFound,
  EEXIST: EXIT.inTheWay,
  EBUSY: EXIT.inTheWay,
  ENOSPC: EXIT.noSpace,
};

/** The exit status for a code of protocol/storage/failures.ts; of one that is unknown, that of any other failure. */
export function statusOfFailure(code: string): number {
  const known = Object.entries(FAILURES).find(([name]) => name === code)?.[1];
  if (known?.retryable) return EXIT.tryAgain;
  return STATUS_OF_ERRNO[known?.errno ?? ""] ?? EXIT.other;
}

function failureOf({ message, data = {} }: ReplyError): CallFailure {
  const later = data.retryAfter === undefined ? "" : `, try again in ${data.retryAfter} s`;
  const detail = data.detail === undefined ? "" : ` (${data.detail})`;
  const status = data.retryable ? EXIT.tryAgain : (STATUS_OF_ERRNO[data.errno ?? ""] ?? EXIT.other);
  return new CallFailure(`${message}${detail}${later}`, status);
}

/** Posts a body. Rejects with a CallFailure if there is no reply. No time limit: an image may take hours. */
function post(url: URL, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      const why = codeOf(error) === "ECONNREFUSED" ? "nothing listens there" : messageOf(error);
      reject(new CallFailure(`no answer from ${url.origin}: ${why}`, EXIT.unreachable));
    };
    const request = url.protocol === "https:" ? requestHttps : requestHttp;
    const sent = request(
      url,
      { method: "POST", headers: { "content-type": "application/json" } },
      (reply) => {
        const parts: Buffer[] = [];
        reply.on("data", (part: Buffer) => parts.push(part));
        reply.on("error", fail);
        reply.on("end", () =>
          resolve({ status: reply.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") }),
        );
      },
    );
    sent.on("error", fail);
    sent.end(body);
  });
}

/** A result, and its JSON text: a size may have more digits than a number of JavaScript keeps. */
export interface CallResult {
  readonly value: unknown;
  readonly text: string;
}

/**
 * Calls a method of the daemon at `base` by JSON-RPC 2.0. Rejects with a CallFailure: nobody answers, the
 * request is refused, or the operation failed.
 */
export async function callDaemon(base: URL, method: string, params: object): Promise<CallResult> {
  const body = JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 });
  const { status, text } = await post(new URL("/rpc", base), body);
  if (status !== 200) {
    const line = `HTTP status ${status} from ${base.origin}: ${text.trim().split("\n")[0]}`;
    throw new CallFailure(line, status === 503 ? EXIT.tryAgain : EXIT.other);
  }
  const read = readJson(text);
  if ("problem" in read) throw new CallFailure(`no JSON from ${base.origin}: ${read.problem}`, EXIT.other);
  const reply: { readonly result?: unknown; readonly error?: ReplyError } = JSON.parse(text);
  if (reply.error) throw failureOf(reply.error);
  const result = read.value.items[read.value.keys.indexOf("result")];
  return { value: reply.result, text: result ? tokenOf(result) : "null" };
}
