import type { Headers, WholeReply } from "../../protocol/http/transport.js";
import { internalFailure } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { SendTicket } from "../../protocol/storage/operations.js";
import type { DownloadPump, PumpState } from "./download-pump.js";
import { refuseDownload } from "./download-requests.js";

/** Starts to send what a ticket is for. Throws only if nothing was begun. */
export type OpenPump = (start: {
  readonly pool: PoolName;
  readonly ticket: SendTicket;
  /** What it is held to, bytes a second; undefined: nothing but what all are. */
  readonly rate: number | undefined;
  /** Of the reply that is a stream. */
  readonly headers: Headers;
  onBytes(bytes: number): void;
}) => DownloadPump;

/** Never throws: the hold is there, and whoever waits for `ended` releases it. */
export function openOrRefuse(open: () => DownloadPump, reply: WholeReply): DownloadPump {
  try {
    return open();
  } catch (error) {
    // No memory for another ring, for example.
    const { failure } = internalFailure(error);
    refuseDownload(reply, failure);
    const state = (): PumpState => ({ phase: "ended", isBlocked: false, waitingBytes: 0, sendId: 0 });
    const ended = Promise.resolve(failure);
    return { state, cancel: () => {}, waitsSince: undefined, length: undefined, ended };
  }
}

/** Answers a request for a download that becomes none, and ends its span. */
export function sendWhole(reply: WholeReply, status: number, headers: Headers, text: string): void {
  reply.send(status, headers, text);
  reply.span?.end();
}
