import { Readable } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { type EventFrame, framesOf } from "../../../client/event-frames.js";
import { printable } from "../../diagnosis/text-layout.js";
import { type Look, type Paint, paintFor } from "../terminal/paint.js";
import { CallFailure, EXIT, statusOfHttp } from "./call-failure.js";
import type { DaemonAddress } from "./daemon-address.js";
import { NoAnswer, requestDaemon } from "./daemon-request.js";

export interface EventFlags {
  readonly json?: boolean | undefined;
  /** Names with commas between them. */
  readonly topics?: string | undefined;
  /** `EPOCH:SEQ`: what came after it is told too. */
  readonly since?: string | undefined;
}

type Members = Readonly<Record<string, unknown>>;

/** After so long a stream that has ended is asked for again, on a terminal. */
const AGAIN_MS = 1_000;

const LOOKS: Readonly<Record<string, Look>> = {
  created: "green",
  deleted: "red",
  "rolled-back": "yellow",
  changed: "yellow",
};

function membersOf({ data }: EventFrame): Members {
  const value: unknown = JSON.parse(data);
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** `14:03:04  volume    created      tank/guests/g1/disk-0`, and who did it or why it failed. */
export function eventLine(event: Members, paint: Paint): string {
  const { at, topic, action, id, caller, origin, failure, what, detail } = event;
  const time = new Date(String(at)).toTimeString().slice(0, 8);
  const message =
    typeof failure === "object" && failure !== null && "message" in failure ? String(failure.message) : "";
  const facts = [
    ...(typeof caller === "string" ? [`by ${caller}`] : []),
    ...(origin === "outside" ? ["by no call"] : []),
    ...[what, detail].filter((each) => typeof each === "string"),
    ...(message === "" ? [] : [message]),
  ].map(printable);
  return [
    paint("dim", time),
    printable(String(topic)).padEnd(8),
    paint(message === "" ? LOOKS[String(action)] : "red", printable(String(action)).padEnd(11)),
    printable(String(id)),
    ...(facts.length > 0 ? [paint("dim", facts.join(", "))] : []),
  ].join("  ");
}

/** Where the stream has come to, and why it ended. */
interface Ended {
  readonly place: string | undefined;
  readonly message: string;
}

/** Prints the events of one stream until it ends. Rejects with a CallFailure. */
async function watchOnce(address: DaemonAddress, { topics, since, json }: EventFlags): Promise<Ended> {
  const url = new URL("/events", address.base);
  if (topics !== undefined) url.searchParams.set("topics", topics);
  if (since !== undefined) url.searchParams.set("since", since);
  const reply = await requestDaemon(address, url, { agent: false });
  const { statusCode = 0 } = reply;
  if (statusCode !== 200) {
    const [line = ""] = (await textOf(reply)).trim().split("\n");
    throw new CallFailure(line || `HTTP status ${statusCode}`, statusOfHttp(statusCode));
  }
  const paint = paintFor(process.stdout, process.env);
  let place = since;
  let message = "the connection ended";
  try {
    for await (const frame of framesOf(Readable.toWeb(reply))) {
      if (frame.id !== "") place = frame.id;
      if (frame.data === "") continue;
      const members = membersOf(frame);
      if (frame.event === "end") message = String(members.message);
      if (frame.event === "subscribed" && since !== undefined && members.complete === false) {
        process.stderr.write("imagestore: events since then are no longer kept: look anew\n");
      }
      if (frame.event === "subscribed" || frame.event === "end") continue;
      process.stdout.write(json ? `${frame.data}\n` : `${eventLine(members, paint)}\n`);
    }
  } catch {
    // A cut, which is an end too.
  }
  return { place, message };
}

/**
 * Prints events as they come. On a terminal it goes on after a stream has ended, where that stood; elsewhere it
 * rejects with a CallFailure then, as it does where nobody answers at first.
 */
export async function watchEvents(address: DaemonAddress, flags: EventFlags): Promise<never> {
  let { place, message } = await watchOnce(address, flags);
  for (;;) {
    if (!process.stdout.isTTY) throw new CallFailure(message, EXIT.unreachable);
    process.stderr.write(`imagestore: ${message}; it is asked again\n`);
    for (let isBack = false; !isBack; ) {
      await sleep(AGAIN_MS);
      try {
        ({ place, message } = await watchOnce(address, { ...flags, since: place }));
        isBack = true;
      } catch (error) {
        const isPassing =
          error instanceof NoAnswer || (error instanceof CallFailure && error.exitStatus === EXIT.tryAgain);
        if (!isPassing) throw error;
      }
    }
  }
}
