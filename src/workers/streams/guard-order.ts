import type { ProcessExit } from "../processes/child-process.js";
import type { KnownEnds } from "./sent-bytes.js";

/** What the reset guard says to its process. Those with an id are answered. */
export type GuardOrder =
  /** Comes with a connection. Answered by whether it has come. */
  | { readonly kind: "reset"; readonly id: number }
  /** Answered by what was written to the connection with these ends, or by null. */
  | { readonly kind: "count"; readonly id: number; readonly ends: KnownEnds }
  /** Comes with the connection that the command is to have as its stdout. Answered by its pid, or by null; its end follows. */
  | { readonly kind: "start"; readonly id: number; readonly argv: readonly string[] }
  /** Ends the command with this id. */
  | { readonly kind: "kill"; readonly id: number }
  /** Answered by true. */
  | { readonly kind: "ping"; readonly id: number }
  /** A process group that is to be ended when the thread that started it ends. */
  | { readonly kind: "end-with-us"; readonly group: number }
  /** It has ended by itself. */
  | { readonly kind: "ended"; readonly group: number };

export interface GuardAnswer {
  /** Of the order. */
  readonly id: number;
  readonly value: boolean | number | null;
}

/** How a command has ended. */
export interface GuardedEnd {
  /** Of the order to start it. */
  readonly id: number;
  readonly exit: ProcessExit;
  readonly stderr: string;
  /** What it has written in all, as the kernel counts it; null where it does not tell. */
  readonly written: number | null;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

function endsIn({ localAddress, localPort, remoteAddress, remotePort }: Fields): KnownEnds | undefined {
  if (typeof localAddress !== "string" || typeof remoteAddress !== "string") return undefined;
  if (typeof localPort !== "number" || typeof remotePort !== "number") return undefined;
  return { localAddress, localPort, remoteAddress, remotePort };
}

/** Reads a message. Undefined: it is none of ours. */
export function parseGuardOrder(message: unknown): GuardOrder | undefined {
  if (!isFields(message)) return undefined;
  const { kind, id, group, argv } = message;
  if (kind === "reset") return typeof id === "number" ? { kind, id } : undefined;
  if (kind === "count") {
    const ends = isFields(message.ends) ? endsIn(message.ends) : undefined;
    return ends && typeof id === "number" ? { kind, id, ends } : undefined;
  }
  if (kind === "kill" || kind === "ping") return typeof id === "number" ? { kind, id } : undefined;
  if (kind === "start") {
    const isCommand = Array.isArray(argv) && argv.every((part) => typeof part === "string");
    return isCommand && typeof id === "number" ? { kind, id, argv } : undefined;
  }
  if (typeof group !== "number") return undefined;
  return kind === "end-with-us" || kind === "ended" ? { kind, group } : undefined;
}

function isExit(value: unknown): value is ProcessExit {
  if (!isFields(value)) return false;
  const { kind, code, signal, errno } = value;
  if (kind === "exited") return typeof code === "number";
  return kind === "signalled"
    ? typeof signal === "string"
    : kind === "not_started" && typeof errno === "string";
}

/** Reads the end of a command. Undefined: it is none. */
export function parseGuardedEnd(message: unknown): GuardedEnd | undefined {
  if (!isFields(message)) return undefined;
  const { id, exit, stderr, written } = message;
  if (typeof id !== "number" || typeof stderr !== "string" || !isExit(exit)) return undefined;
  return typeof written === "number" || written === null ? { id, exit, stderr, written } : undefined;
}

/** Reads an answer. Undefined: it is none. */
export function parseGuardAnswer(message: unknown): GuardAnswer | undefined {
  if (!isFields(message)) return undefined;
  const { id, value } = message;
  if (typeof id !== "number") return undefined;
  return typeof value === "boolean" || typeof value === "number" || value === null
    ? { id, value }
    : undefined;
}
