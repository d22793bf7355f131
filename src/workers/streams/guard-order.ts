/** What the reset guard says to its process. */
export type GuardOrder =
  /** Comes with a connection. Answered by its id. */
  | { readonly kind: "reset"; readonly id: number }
  /** A process group that is to be ended when the thread that started it ends. */
  | { readonly kind: "end-with-us"; readonly group: number }
  /** It has ended by itself. */
  | { readonly kind: "ended"; readonly group: number };

/** Reads a message. Undefined: it is none of ours. */
export function parseGuardOrder(message: unknown): GuardOrder | undefined {
  if (typeof message !== "object" || message === null || !("kind" in message)) return undefined;
  const { kind } = message;
  if (kind === "reset" && "id" in message && typeof message.id === "number") return { kind, id: message.id };
  if (!("group" in message) || typeof message.group !== "number") return undefined;
  return kind === "end-with-us" || kind === "ended" ? { kind, group: message.group } : undefined;
}
