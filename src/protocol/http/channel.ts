/** A connection on which both sides send whole texts: a WebSocket. Once it is closed, every call does nothing. */
export interface Channel {
  /** The client's address. */
  readonly peer: string;
  /** Of the request that has opened it. */
  readonly requestId: string;
  /** Bytes that were sent and that the kernel has not taken; 0 once it is closed. */
  readonly waitingBytes: number;
  /** Sends a text, or its bytes in UTF-8, as one message. */
  send(text: string | Uint8Array): void;
  /** Runs `work`, whose messages go out together. */
  together(work: () => void): void;
  /** Closes it behind what was sent, for a reason of at most 123 bytes. Codes: RFC 6455, 7.4. */
  close(code: number, reason: string): void;
}

/** Whoever has a channel. Its functions don't throw. */
export interface ChannelListener {
  onText(text: string): void;
  /** The kernel has taken something that waited. */
  onDrain(): void;
  /** Called once, also after `close`. */
  onClose(): void;
}

/** A channel that may be opened. */
export interface AcceptedChannel {
  /** What is chosen of the subprotocols that the client offers; "" for none. */
  readonly protocol: string;
  open(channel: Channel): ChannelListener;
}

/** A message that is no text: RFC 6455, 7.4.1. */
export const NOT_TEXT = { code: 1003, reason: "only texts are understood" } as const;
