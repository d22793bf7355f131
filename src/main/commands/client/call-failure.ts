import { FAILURES, type FailureCode } from "../../../protocol/storage/failures.js";

/** How a command of the client ends, by what came of its call. */
export const EXIT = {
  other: 1,
  refused: 2,
  unreachable: 3,
  notFound: 4,
  inTheWay: 5,
  noSpace: 6,
  /** EX_NOPERM of sysexits(3): the token is missing, not known, or not for this. */
  denied: 77,
  /** EX_TEMPFAIL of sysexits(3): the same may succeed later. */
  tryAgain: 75,
  /** As of a shell whose command SIGINT has ended. */
  interrupted: 130,
} as const;

/** A call that did not succeed. The message is a line for the user. */
export class CallFailure extends Error {
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

const STATUS_OF_ERRNO: Readonly<Record<string, number>> = {
  EINVAL: EXIT.refused,
  ENOENT: EXIT.notFound,
  EEXIST: EXIT.inTheWay,
  EBUSY: EXIT.inTheWay,
  ENOSPC: EXIT.noSpace,
  EACCES: EXIT.denied,
};

/** Of a refusal whose reply is plain text. */
const STATUS_OF_HTTP: Readonly<Record<number, number>> = {
  400: EXIT.refused,
  401: EXIT.denied,
  403: EXIT.denied,
  404: EXIT.notFound,
  409: EXIT.inTheWay,
  503: EXIT.tryAgain,
  504: EXIT.tryAgain,
  507: EXIT.noSpace,
};

/** The exit status for an HTTP status that is no success. */
export function statusOfHttp(status: number): number {
  return STATUS_OF_HTTP[status] ?? EXIT.other;
}

/** Failures that are a refusal of what was given, though their errno says what of it is wrong. */
const REFUSALS: readonly string[] = ["stream.invalid"] satisfies FailureCode[];

/** The exit status for a failure that can't be tried again, by its code and its errno. */
export function statusOfRefusal(code: string | undefined, errno: string | undefined): number {
  if (code !== undefined && REFUSALS.includes(code)) return EXIT.refused;
  return STATUS_OF_ERRNO[errno ?? ""] ?? EXIT.other;
}

/** The exit status for a code of protocol/storage/failures.ts; of one that is unknown, that of any other failure. */
export function statusOfFailure(code: string): number {
  const known = Object.entries(FAILURES).find(([name]) => name === code)?.[1];
  if (known?.retryable) return EXIT.tryAgain;
  return statusOfRefusal(code, known?.errno);
}

/** Ends the process with a line on stderr, or with a stack if it is a bug. */
export function exitWithFailure(error: unknown): never {
  const isCall = error instanceof CallFailure;
  const line = isCall ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`imagestore: ${line}\n`);
  process.exit(isCall ? error.exitStatus : EXIT.other);
}
