import { type ClientRequest, request } from "node:http";
import type { DaemonProcess } from "./daemon.js";

/** What a receive is answered with. */
export interface ReceiveReply {
  readonly status: number;
  readonly text: string;
  readonly json: {
    readonly received?: {
      readonly snapshot: string;
      readonly guid: string;
      readonly bytes: number;
      readonly full: boolean;
      readonly destroyed: readonly string[];
    };
    readonly receives?: readonly {
      readonly id: string;
      readonly state: string;
      readonly token: string | null;
      readonly bytes: number | null;
      readonly resumable: boolean;
    }[];
    readonly error?: { readonly message: string; readonly data: { readonly reason: string } };
  };
}

/** A stream that is being sent. */
export interface Sending {
  readonly request: ClientRequest;
  /** Rejects if the connection ends without an answer. */
  readonly reply: Promise<ReceiveReply>;
}

export const receiveUrl = ({ url }: Pick<DaemonProcess, "url">, id: string, more = "") =>
  `${url}/volumes/receive?id=${id}${more}`;

/**
 * Begins to send a stream: write it to `request`, and end that. Chunked unless the headers have a length. Its connection
 * is its own, and is closed when the answer has come.
 */
export function sendTo(
  url: string,
  headers: Readonly<Record<string, string | number>> = {},
  method = "POST",
): Sending {
  const sent = request(url, {
    method,
    headers: { connection: "keep-alive", ...headers },
    agent: false,
  });
  sent.flushHeaders();
  const reply = new Promise<ReceiveReply>((resolve, reject) => {
    sent.once("error", reject);
    sent.once("close", () => reject(new Error("closed without an answer")));
    sent.once("response", (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (piece: string) => {
        text += piece;
      });
      incoming.once("error", reject);
      incoming.once("end", () => {
        const isJson = incoming.headers["content-type"]?.startsWith("application/json") === true;
        sent.destroy();
        resolve({ status: incoming.statusCode ?? 0, text, json: isJson ? JSON.parse(text) : {} });
      });
    });
  });
  // Some who send look for other things than the answer.
  reply.catch(() => {});
  return { request: sent, reply };
}

/** Sends a whole stream. */
export function sendAll(
  url: string,
  body: Buffer,
  headers: Readonly<Record<string, string | number>> = {},
): Promise<ReceiveReply> {
  const { request: sent, reply } = sendTo(url, headers);
  sent.end(body);
  return reply;
}

/** Asks of a receive, or gives it up. */
export async function askReceive(url: string, method: "GET" | "DELETE" = "GET"): Promise<ReceiveReply> {
  const { request: sent, reply } = sendTo(url, {}, method);
  sent.end();
  return reply;
}
