import type { Span } from "../../protocol/tracing/span.js";
import type { Client } from "../pools/actor-handle.js";

/** Whom the answer of one message of a channel is for. */
export class MessageClient implements Client {
  /** Undefined while there are none: few calls have some. */
  private goneListeners: (() => void)[] | undefined;
  private endListeners: (() => void)[] | undefined;
  private hasEnded = false;

  constructor(
    readonly requestId: string,
    readonly peer: string,
    readonly span: Span | undefined,
  ) {}

  onDisconnect(listener: () => void): void {
    if (this.hasEnded) return;
    this.goneListeners ??= [];
    this.goneListeners.push(listener);
  }

  /** `listener` is called once: when the kernel has the reply, or the channel is closed. */
  onEnd(listener: () => void): void {
    if (this.hasEnded) return listener();
    this.endListeners ??= [];
    this.endListeners.push(listener);
  }

  /** The kernel has the reply, or there is none. */
  end(): void {
    const listeners = this.endListeners;
    this.span?.end();
    this.hasEnded = true;
    this.goneListeners = undefined;
    this.endListeners = undefined;
    for (const listener of listeners ?? []) listener();
  }

  /** The channel was closed before that. */
  leave(): void {
    for (const listener of this.goneListeners ?? []) listener();
    this.end();
  }
}
