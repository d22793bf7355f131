import type { Span } from "../../protocol/tracing/span.js";
import type { Client } from "../pools/actor-handle.js";

/** Whom the answer of one message of a channel is for. */
export class MessageClient implements Client {
  private goneListeners: (() => void)[] = [];
  private endListeners: (() => void)[] = [];
  private hasEnded = false;

  constructor(
    readonly requestId: string,
    readonly peer: string,
    readonly span: Span | undefined,
  ) {}

  onDisconnect(listener: () => void): void {
    if (!this.hasEnded) this.goneListeners.push(listener);
  }

  /** `listener` is called once: when the kernel has the reply, or the channel is closed. */
  onEnd(listener: () => void): void {
    if (this.hasEnded) listener();
    else this.endListeners.push(listener);
  }

  /** The kernel has the reply, or there is none. */
  end(): void {
    const listeners = this.endListeners;
    this.span?.end();
    this.hasEnded = true;
    this.goneListeners = [];
    this.endListeners = [];
    for (const listener of listeners) listener();
  }

  /** The channel was closed before that. */
  leave(): void {
    for (const listener of this.goneListeners) listener();
    this.end();
  }
}
