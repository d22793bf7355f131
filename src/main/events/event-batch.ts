import type { NumberedEvent } from "./event.js";

/** Notifications in a message. With names of usual length it has some 64 KiB then. */
const MOST_TOGETHER = 256;

function notification(json: string): string {
  return `{"jsonrpc":"2.0","method":"event","params":${json}}`;
}

/** Events that go to several subscribers together. What is written of them is written once, when it is needed. */
export class EventBatch {
  private knownFrames: Buffer | undefined;
  private knownMessages: readonly Buffer[] | undefined;
  private knownTogether: readonly Buffer[] | undefined;

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
    this.knownMessages ??= this.events.map(({ json }) => Buffer.from(notification(json)));
    return this.knownMessages;
  }

  /** All of them as batches of such notifications, each of at least one and at most MOST_TOGETHER. */
  get together(): readonly Buffer[] {
    this.knownTogether ??= Array.from(
      { length: Math.ceil(this.events.length / MOST_TOGETHER) },
      (_, index) => {
        const some = this.events.slice(index * MOST_TOGETHER, (index + 1) * MOST_TOGETHER);
        return Buffer.from(`[${some.map(({ json }) => notification(json)).join(",")}]`);
      },
    );
    return this.knownTogether;
  }
}
