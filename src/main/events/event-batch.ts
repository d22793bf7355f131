import type { NumberedEvent } from "./event.js";

/** Events that go to several subscribers together. What is written of them is written once, when it is needed. */
export class EventBatch {
  private knownFrames: Buffer | undefined;
  private knownMessages: readonly Buffer[] | undefined;

  constructor(
    private readonly epoch: string,
    /** In their order; at least one. */
    readonly events: readonly NumberedEvent[],
  ) {}

  /** All of them as server-sent events. */
  get frames(): Buffer {
    this.knownFrames ??= Buffer.from(
      this.events
        .map(({ seq, topic, json }) => `id: ${this.epoch}:${seq}\nevent: ${topic}\ndata: ${json}\n\n`)
        .join(""),
    );
    return this.knownFrames;
  }

  /** Each of them as a notification of JSON-RPC 2.0. */
  get messages(): readonly Buffer[] {
    this.knownMessages ??= this.events.map(({ json }) =>
      Buffer.from(`{"jsonrpc":"2.0","method":"event","params":${json}}`),
    );
    return this.knownMessages;
  }
}
