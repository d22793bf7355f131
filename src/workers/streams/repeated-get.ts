import { setTimeout as sleep } from "node:timers/promises";
import { type FailedOutcome, fail } from "../../protocol/storage/failures.js";
import { shownUrl } from "../../protocol/storage/image-hosts.js";
import type { ImageSource } from "../../protocol/storage/operations.js";
import type { FetchRepeats } from "../../protocol/threads/streaming-contract.js";
import { FetchFailure, isTransient, statusFailure, transferFailure, wrongSize } from "./fetch-failures.js";
import type { Reply } from "./http-get.js";
import { openSource, type SourceOptions } from "./http-source.js";
import { differenceOf, factsOf, type ObjectFacts, statedRange } from "./object-facts.js";
import type { BodyTaker } from "./reply-body.js";

export interface RepeatedGetOptions extends Omit<SourceOptions, "hosts"> {
  readonly source: ImageSource;
  /** Where to go on when the source has failed. Only where `isChecked`. */
  readonly alternates: readonly ImageSource[];
  readonly repeats: FetchRepeats;
  /** Whether its reader compares all bytes with a digest that it has: then no validator is needed to go on. */
  readonly isChecked: boolean;
  /** How many bytes the object must have; undefined: any number. */
  readonly size: number | undefined;
  /** The only part that is wanted; undefined: all of it. A service without ranges may send all in place of the first. */
  readonly part?: { readonly start: number; readonly end: number } | undefined;
  /** What is known of the object before it is asked for: then there is nothing to begin. */
  readonly known?: ObjectFacts | undefined;
  /** Called before each request. */
  onRequest?(isRepeat: boolean): void;
  /** Called when bytes have come that had come before, with how many did so far. */
  onRepeated?(bytes: number): void;
  /** Called when it goes on with an alternate, with which one, from 1 on. */
  onAlternate?(alternate: number): void;
}

/** The first bytes of an object, and what its service says of it. */
export interface Begun {
  readonly head: Buffer;
  readonly facts: ObjectFacts;
}

/** However much each of them brings. */
const MOST_REQUESTS = 1_000;
/** A service that wants to be asked later than this is not asked again: the client is told when. */
const MOST_RETRY_AFTER_S = 60;

/**
 * A GET that is repeated where it breaks, and goes on behind the last byte that its reader was given. To
 * be begun, then poured, then closed. It goes on only where the bytes are proven to be of the same object: by a
 * strong validator, or by a digest that all of them are compared with in the end.
 */
export class RepeatedGet {
  private reply: Reply | undefined;
  /** Of the object; undefined until it has begun. */
  private known: ObjectFacts | undefined;
  private requests = 0;
  /** Requests in a row that have brought nothing. */
  private barren = 0;
  /** Bytes that the reader was given. */
  private given = 0;
  /** Bytes that come again, and are not given to the reader. */
  private toSkip = 0;
  private repeatedBytes = 0;
  private source: ImageSource;
  private part: RepeatedGetOptions["part"];
  /** How many of the alternates were tried. */
  private tried = 0;
  private readonly closing = new AbortController();

  constructor(private readonly options: RepeatedGetOptions) {
    this.source = options.source;
    this.known = options.known;
    this.part = options.part;
    if (options.signal.aborted) this.closing.abort(options.signal.reason);
    options.signal.addEventListener("abort", this.onAbort);
  }

  private readonly onAbort = () => this.closing.abort(this.options.signal.reason);

  /**
   * Asks until the first `count` bytes are there, or all if there are fewer. Throws what transferFailure
   * understands.
   */
  async begin(count: number): Promise<Begun> {
    for (;;) {
      try {
        const { reply, url } = await this.ask(this.part ? this.rangeOf(this.part) : {});
        const facts = factsOf(reply.statusCode, reply.headers);
        const { size } = this.options;
        if (size !== undefined && facts.length !== undefined && facts.length !== size)
          throw new FetchFailure(wrongSize(String(facts.length), size, url));
        if (reply.statusCode === 200) this.part = undefined;
        else if (reply.statusCode !== 206 || statedRange(reply.headers)?.part?.start !== this.start)
          throw new FetchFailure(fail("image.source_error", `the service sends another part, url: ${url}`));
        const head = await reply.body.first(count);
        this.known = facts;
        return { head, facts };
      } catch (error) {
        if (!(await this.pause(error))) throw error;
      }
    }
  }

  /** Whether the service sends a part of the object, as it was asked to. */
  get isPart(): boolean {
    return this.part !== undefined;
  }

  /** Hands all of it over, what `begin` has seen included. */
  pour(into: BodyTaker): void {
    if (this.reply) this.attach(this.reply, into);
    else if (this.known) void this.askForRest(this.known, into).catch((error) => this.goOn(error, into));
  }

  close(): void {
    this.options.signal.removeEventListener("abort", this.onAbort);
    this.reply?.destroy();
    this.closing.abort();
  }

  /** @returns a reply with status 200, or one of those that answer a Range. `url` may be shown. */
  private async ask(headers: Readonly<Record<string, string>>): Promise<{ reply: Reply; url: string }> {
    const { options } = this;
    this.reply?.destroy();
    this.requests++;
    this.barren++;
    options.onRequest?.(this.requests > 1);
    const { url: start, hosts } = this.source;
    const opened = await openSource(start, {
      ...options,
      ...{ hosts, openHeaders: headers, signal: this.closing.signal },
    });
    const { reply } = opened;
    this.reply = reply;
    // It may have been closed while the reply was on its way here.
    if (this.closing.signal.aborted) reply.destroy();
    const url = shownUrl(opened.url);
    const { statusCode } = reply;
    if (statusCode === 200 || ("range" in headers && (statusCode === 206 || statusCode === 416)))
      return { reply, url };
    reply.destroy();
    throw new FetchFailure(statusFailure(reply, url));
  }

  private attach({ body }: Reply, into: BodyTaker): void {
    body.pour({
      onPiece: (piece, done) => {
        const rest = this.toSkip === 0 ? piece : this.skip(piece);
        if (rest.length === 0) return done();
        this.barren = 0;
        this.given += rest.length;
        if (this.given > (this.wanted ?? this.given)) {
          this.reply?.destroy();
          return into.onError(new FetchFailure(this.changed("it is longer than it was", this.source.url)));
        }
        into.onPiece(rest, done);
      },
      onEnd: () => {
        if (this.given === (this.wanted ?? this.given)) into.onEnd();
        else void this.goOn(Object.assign(new Error("a part ended early"), { code: "ECONNRESET" }), into);
      },
      onError: (error) => void this.goOn(error, into),
    });
  }

  private skip(piece: Buffer): Buffer {
    const count = Math.min(this.toSkip, piece.length);
    this.toSkip -= count;
    this.repeatedBytes += count;
    this.options.onRepeated?.(this.repeatedBytes);
    return piece.subarray(count);
  }

  /** Asks for what is left, until it comes or there is no use in it. */
  private async goOn(broken: unknown, into: BodyTaker): Promise<void> {
    let error = broken;
    try {
      while (this.known && this.isProven(this.known) && ((await this.pause(error)) || this.changeSource())) {
        try {
          return await this.askForRest(this.known, into);
        } catch (failure) {
          error = failure;
        }
      }
    } catch (bug) {
      error = bug;
    }
    into.onError(this.toldOfRequests(error));
  }

  private get start(): number {
    return this.part?.start ?? 0;
  }

  /** How many bytes the reader is to be given; undefined if that is not known. */
  private get wanted(): number | undefined {
    const { part, known } = this;
    if (!part) return known?.length;
    return Math.min(part.end, known?.length ?? part.end) - part.start;
  }

  /** The headers that ask for what is left of a part, or of all. */
  private rangeOf(part: RepeatedGetOptions["part"]): Readonly<Record<string, string>> {
    return { range: `bytes=${this.start + this.given}-${part ? part.end - 1 : ""}` };
  }

  /** @returns false if there is no other source. */
  private changeSource(): boolean {
    const next = this.options.alternates[this.tried];
    if (!next || this.closing.signal.aborted) return false;
    this.tried++;
    this.barren = 0;
    this.source = next;
    // The validators of another service are others, also those of the same object.
    if (this.known) this.known = { ...this.known, etag: undefined, validator: undefined };
    this.options.onAlternate?.(this.tried);
    return true;
  }

  private isProven({ validator, digest }: ObjectFacts): boolean {
    return this.options.isChecked || validator !== undefined || digest !== undefined;
  }

  private async askForRest(known: ObjectFacts, into: BodyTaker): Promise<void> {
    const at = this.start + this.given;
    const ifRange = known.validator === undefined ? {} : { "if-range": known.validator };
    const { reply, url } = await this.ask({ ...this.rangeOf(this.part), ...ifRange });
    const { statusCode, headers } = reply;
    const facts = factsOf(statusCode, headers);
    const range = statedRange(headers);
    if (statusCode === 416 && range?.total === at && differenceOf(known, facts) === undefined) {
      reply.destroy();
      return into.onEnd();
    }
    const changed = this.changeIn(reply, known, facts);
    if (changed !== undefined) {
      reply.destroy();
      throw new FetchFailure(this.changed(changed, url));
    }
    this.toSkip = statusCode === 200 ? at : 0;
    this.known = { ...known, length: known.length ?? facts.length };
    this.attach(reply, into);
  }

  private changed(how: string, url: string): FailedOutcome {
    const where = `at byte ${this.start + this.given}`;
    const text = `the image can't be gone on with ${where}: ${how}, url: ${shownUrl(url)}`;
    return fail("image.source_changed", text);
  }

  /** Why a reply does not go on with the object; undefined if it does. */
  private changeIn({ statusCode, headers }: Reply, known: ObjectFacts, now: ObjectFacts): string | undefined {
    const difference = differenceOf(known, now);
    if (difference !== undefined) return difference;
    if (statusCode === 416) return "it has no byte there";
    if (statusCode === 206) {
      const start = statedRange(headers)?.part?.start;
      return start === this.start + this.given
        ? undefined
        : `the service sends byte ${start ?? "nobody knows which"}`;
    }
    if (this.part) return "the service has no parts of it any more";
    const isSame = known.validator !== undefined && known.validator === now.validator;
    const isChecked = this.options.isChecked || known.digest !== undefined;
    return isSame || isChecked
      ? undefined
      : "the service sends it from its beginning, and may have another one";
  }

  /** Waits before the next request. @returns false if there is to be none after `error`. */
  private async pause(error: unknown): Promise<boolean> {
    const { repeats } = this.options;
    const { signal } = this.closing;
    const isLast = Math.max(1, this.barren) >= repeats.attempts || this.requests >= MOST_REQUESTS;
    if (isLast || signal.aborted || !isTransient(error, this.known !== undefined)) return false;
    const { retryAfter = 0 } = error instanceof FetchFailure ? error.outcome.failure : {};
    if (retryAfter > MOST_RETRY_AFTER_S) return false;
    const { firstDelayMs, mostDelayMs } = repeats;
    const delayMs = Math.min(mostDelayMs, firstDelayMs * 2 ** Math.max(0, this.barren - 1));
    // A random part of it: those whom a service has refused at the same moment come back at different ones.
    const waitMs = retryAfter * 1_000 + Math.random() * delayMs;
    return sleep(waitMs, undefined, { signal }).then(
      () => true,
      () => false,
    );
  }

  private toldOfRequests(error: unknown): unknown {
    if (this.requests === 1) return error;
    const { failure } = transferFailure(error, shownUrl(this.source.url));
    const of = this.known?.length === undefined ? "" : ` of ${this.known.length}`;
    const detail = `${this.given}${of} bytes came by ${this.requests} requests`;
    const text = failure.detail === undefined ? detail : `${failure.detail}; ${detail}`;
    return new FetchFailure({ ok: false, failure: { ...failure, detail: text } });
  }
}
