import { type JsonText, stringOf } from "../../protocol/json-rpc/reply-text.js";
import { type FailureCode, fail, type Outcome, succeed, tellAbout } from "../../protocol/storage/failures.js";

/** A change that runs as a job. */
export interface BegunCall {
  readonly job: string;
  /** What it answers in the end. Never rejects. */
  readonly result: Promise<Outcome<JsonText>>;
}

/** A request with a key. */
interface KeyedRequest {
  /** The id of the caller's token; "" where the daemon asks for none. */
  readonly caller: string;
  readonly key: string;
  /** Equal for two requests exactly if they ask for the same. */
  readonly fingerprint: string;
  readonly repeatSafe: boolean;
}

/**
 * What is kept of a request with a key, as a line of the file. `begun`: it runs, or ran when the daemon
 * ended. `done`: with its answer. `open`: whether the change was made is not known. `gone`: it was
 * refused, and is as if it had not been.
 */
export interface KeyLine {
  /** The caller and the key. */
  readonly name: string;
  readonly fingerprint: string;
  readonly job: string;
  /** When it began, by the clock of Date.now. */
  readonly at: number;
  readonly state: "begun" | "done" | "open" | "gone";
  readonly answer?: string | undefined;
}

/** Requests that name a key: of those with the same key and caller, one runs. */
export interface RepeatedCalls {
  /**
   * Begins a change, or finds that which a request with the same key has begun. Fails: request.invalid for a
   * key of another request; service.interrupted if nobody knows whether its change was made.
   */
  once(
    request: KeyedRequest,
    begin: () => BegunCall,
  ): Promise<Outcome<{ readonly begun: BegunCall; readonly isRepeat: boolean }>>;
  /** What an earlier run has kept, oldest first. */
  restore(lines: readonly KeyLine[]): void;
  /** What there is to keep, oldest first. */
  lines(): readonly KeyLine[];
}

interface Log {
  append(line: KeyLine): void;
  synced(): Promise<void>;
}

export const MOST_KEYS = 10_000;
export const KEY_MS = 24 * 60 * 60 * 1_000;
/** Of all answers together, characters: what is older is forgotten. */
const ANSWER_CHARACTERS = 16 * 1024 * 1024;
/** An answer that is longer is not kept. */
const LONGEST_ANSWER = 64 * 1024;

/** After these it is open whether the change was made. */
const LEAVES_OPEN: ReadonlySet<FailureCode> = new Set<FailureCode>([
  "service.interrupted",
  "command.timed_out",
  "internal",
]);

const otherRequest = tellAbout(
  fail("request.invalid", "the key was used for another request: use a new one"),
  {
    field: "idempotencyKey",
  },
);
const open = fail(
  "service.interrupted",
  "the first request with this key was interrupted, and whether its change was made is not known: look, and use a new key",
);
const answerNotKept = fail(
  "service.reply_too_large",
  `the change was made, and its answer is longer than what is kept for repeats (${LONGEST_ANSWER} characters)`,
);

interface KeyedCall {
  line: KeyLine;
  readonly begun: Promise<BegunCall>;
}

export function createRepeatedCalls(log: Log): RepeatedCalls {
  /** By caller and key, oldest first. */
  const calls = new Map<string, KeyedCall>();
  /** Of the answers in `calls`. */
  let characters = 0;

  function put(call: KeyedCall): void {
    remove(call.line.name);
    calls.set(call.line.name, call);
    characters += call.line.answer?.length ?? 0;
  }

  function remove(name: string): void {
    characters -= calls.get(name)?.line.answer?.length ?? 0;
    calls.delete(name);
  }

  function forgetOldest(now: number): void {
    for (const [name, { line }] of calls) {
      const isWithin = calls.size <= MOST_KEYS && characters <= ANSWER_CHARACTERS && now - line.at < KEY_MS;
      if (isWithin) return;
      if (line.state !== "begun") remove(name);
    }
  }

  function settle(call: KeyedCall, outcome: Outcome<JsonText>): void {
    const { name } = call.line;
    if (outcome.ok) {
      const isShort = outcome.value.length <= LONGEST_ANSWER;
      const answer = isShort ? stringOf(outcome.value) : undefined;
      call.line = { ...call.line, state: "done", answer };
      characters += answer?.length ?? 0;
    } else if (outcome.failure.code === "service.reply_too_large") {
      call.line = { ...call.line, state: "done" };
    } else if (LEAVES_OPEN.has(outcome.failure.code)) {
      call.line = { ...call.line, state: "open" };
    } else {
      // Nothing was done: the same request may be made again, with the same key.
      call.line = { ...call.line, state: "gone" };
      remove(name);
    }
    log.append(call.line);
    forgetOldest(Date.now());
  }

  function start({ caller, key, fingerprint }: KeyedRequest, begin: () => BegunCall): KeyedCall {
    const line: KeyLine = { name: nameOf(caller, key), fingerprint, job: "", at: Date.now(), state: "begun" };
    async function run(): Promise<BegunCall> {
      // On the disk before anything is changed: after a crash it is known that this may have run.
      log.append(line);
      await log.synced();
      const started = begin();
      call.line = { ...line, job: started.job };
      void started.result.then((outcome) => settle(call, outcome));
      return started;
    }
    const call: KeyedCall = { line, begun: run() };
    put(call);
    forgetOldest(line.at);
    return call;
  }

  return {
    once: async (request, begin) => {
      forgetOldest(Date.now());
      const known = calls.get(nameOf(request.caller, request.key));
      if (known && known.line.fingerprint !== request.fingerprint) return otherRequest;
      if (known?.line.state === "open") {
        if (!request.repeatSafe) return open;
      } else if (known) return succeed({ begun: await known.begun, isRepeat: true });
      return succeed({ begun: await start(request, begin).begun, isRepeat: false });
    },
    restore: (lines) => {
      for (const line of lines) {
        if (line.state === "gone") remove(line.name);
        else put(restored(line));
      }
      forgetOldest(Date.now());
    },
    lines: () => Array.from(calls.values(), ({ line }) => line),
  };
}

/** No token's id has a space. */
const nameOf = (caller: string, key: string) => `${caller} ${key}`;

function restored(line: KeyLine): KeyedCall {
  const state = line.state === "begun" ? "open" : line.state;
  const result = line.answer === undefined ? answerNotKept : succeed(line.answer);
  return {
    line: { ...line, state },
    begun: Promise.resolve({ job: line.job, result: Promise.resolve(result) }),
  };
}
