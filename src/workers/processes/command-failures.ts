import { type FailedOutcome, type FailureCode, fail, failed } from "../../protocol/storage/failures.js";
import type { CommandEnd } from "./run-command.js";

/**
 * The only module that reads what zfs and zpool write to stderr. Each pattern is
 * anchored and was taken from captured output (test/unit/workers/processes/command-failures.test.ts has
 * it); whatever none of them knows stays a general failure that keeps its text.
 */
interface Pattern {
  readonly match: RegExp;
  readonly refuse: (match: RegExpExecArray, stderr: string) => FailedOutcome;
}

const PATTERNS: readonly Pattern[] = [
  {
    match:
      /^cannot (?:open|hold|create|destroy|rename|rollback to|release|send|list)\b.*: (?:dataset does not exist|no such pool(?: or dataset| '.*')?|no such snapshot|no such tag on this dataset)$/m,
    refuse: () => failed.notFound,
  },
  {
    match: /^could not find any snapshots to destroy; check snapshot names\.$/m,
    refuse: () => failed.notFound,
  },
  {
    match: /^cannot (?:create|rename|receive|clone)\b.*: (?:dataset already exists|destination '.*' exists)/m,
    refuse: () => failed.exists,
  },
  { match: /^cannot create snapshot '.*': dataset already exists$/m, refuse: () => failed.exists },
  {
    match: /^cannot destroy '(.*)': (?:snapshot|volume|filesystem) has dependent clones$/m,
    refuse: (match, stderr) =>
      fail(
        "dataset.has_clones",
        `${match[1]} has clones: ${listed(stderr, "to destroy the following datasets:")}`,
      ),
  },
  {
    match: /^cannot rollback to '(.*)': clones of previous snapshots exist$/m,
    refuse: (match, stderr) =>
      fail(
        "dataset.has_clones",
        `snapshots newer than ${match[1]} have clones: ${listed(stderr, "clones and dependents:")}`,
      ),
  },
  {
    match: /^cannot rollback to '(.*)': more recent snapshots or bookmarks exist$/m,
    refuse: (match, stderr) =>
      fail(
        "snapshot.newer_exist",
        `newer snapshots than ${match[1]} exist: ${listed(stderr, "snapshots and bookmarks:")}; destroyMoreRecent removes them`,
      ),
  },
  {
    match: /^cannot destroy snapshot (.*): it's being held\b/m,
    refuse: (match) => fail("snapshot.held", `${match[1]} is held, a download of it may be running`),
  },
  { match: /^cannot .*: (?:dataset|pool) is busy$/m, refuse: (match) => fail("dataset.busy", match[0]) },
  {
    match:
      /^cannot .*: (?:out of space|dataset is full|refreservation is greater than available space)|\bNo space left on device\b/m,
    refuse: () => failed.noSpace,
  },
  {
    match: /^cannot .*: (?:quota|refquota|destination .* space quota) exceeded\.?$/im,
    refuse: () => failed.noSpace,
  },
  {
    match:
      /^cannot (?:create|rename|receive|clone).*: (?:parent is not a filesystem|parent does not exist|parent '.*' is not a filesystem)/m,
    refuse: (match) => fail("dataset.wrong_type", match[0]),
  },
  {
    match: /^cannot receive.*: (?:incomplete stream|checksum mismatch)/m,
    refuse: (match) => fail("image.cut_short", `the image's stream is cut short or damaged: ${match[0]}`),
  },
  {
    match:
      /^cannot receive.*: (?:invalid stream|failed to read from stream|invalid backup stream|stream has unsupported feature|incompatible embedded data stream feature|kernel modules must be upgraded|most recent snapshot of)|^cannot receive incremental stream: destination '.*' does not exist$/m,
    refuse: (match) => fail("image.bad_stream", `no usable ZFS stream: ${match[0]}`),
  },
  {
    match:
      /pool I\/O is currently suspended|cannot open '.*': pool is (?:unavailable|currently unavailable)/m,
    refuse: (match) => fail("pool.unavailable", match[0]),
  },
  { match: /^cannot .*: pool is read-only$/m, refuse: (match) => fail("pool.read_only", match[0]) },
  {
    match:
      /^(?:(?:warning: )?cannot .*: permission denied|Permission denied the ZFS utilities must be run as root\.|Permission denied\. Channel programs must be run as root\.|Unable to open \/dev\/zfs: Permission denied\.|.*a password is required|cannot .*: Insufficient privileges)/im,
    refuse: (match) => fail("command.not_permitted", match[0]),
  },
  {
    match:
      /^(?:The ZFS modules (?:are not loaded|cannot be auto-loaded)\.|\/dev\/zfs and \/proc\/self\/mounts are required\.|Failed to initialize the libzfs library\.)/m,
    refuse: (match) => fail("command.missing", `ZFS is not available: ${match[0]}`),
  },
];

/** The names that zfs lists one a line after a line that ends with `heading`. */
function listed(stderr: string, heading: string): string {
  const lines = stderr.slice(stderr.indexOf(heading) + heading.length).split("\n");
  return lines
    .slice(1)
    .filter((line) => line !== "")
    .join(", ");
}

/** Of a text that nobody knows: enough to see what it is about. */
const DETAIL_CHARACTERS = 4000;

/** @returns the failure of a command that did not succeed. Keeps the text of what it doesn't know. */
export function failureOf(end: CommandEnd): FailedOutcome {
  const { exit, argv, stderr } = end;
  const text = stderr.trim();
  const command = argv.join(" ").slice(0, 500);
  // Behind a prefix such as sudo or ssh: what was asked of zfs, not of the prefix.
  const program = argv.findIndex((word) => /(?:^|\/)(?:zfs|zpool)$/.test(word));
  const verb = program < 0 ? argv[0] : argv.slice(program, program + 2).join(" ");
  const general = (code: FailureCode, what: string) =>
    fail(code, `${verb}: ${what}`, `${command}: ${text.slice(0, DETAIL_CHARACTERS)}`);
  switch (exit.kind) {
    case "not_started":
      return exit.errno === "EACCES" || exit.errno === "EPERM"
        ? general("command.not_permitted", `not permitted to run ${argv[0]}`)
        : exit.errno === "ENOENT"
          ? general("command.missing", `no such program: ${argv[0]}`)
          : general("command.failed", `not started: ${exit.errno}`);
    case "timed_out":
      return general(
        "command.timed_out",
        `no end after ${exit.afterMs} ms, killed; the change may still happen`,
      );
    case "too_much_output":
      return general("command.failed", `more than ${exit.limitBytes} bytes of output`);
    case "lost":
      return general("service.interrupted", "its runner ended; the outcome is unknown, ask again");
    case "signalled":
      return general("service.interrupted", `killed by ${exit.signal}; the outcome is unknown, ask again`);
    case "exited":
      break;
  }
  for (const { match, refuse } of PATTERNS) {
    const found = match.exec(text);
    if (found) return refuse(found, text);
  }
  return general(
    "command.failed",
    text.split("\n")[0]?.slice(0, DETAIL_CHARACTERS) || `exit status ${exit.code}`,
  );
}

const BLAMED = /^cannot (?:open|create snapshot|destroy(?: snapshot)?) '?([^']*?)'?: /gm;

/** The names, of datasets or snapshots, that a command on several says it failed on. */
export function blamedNames(stderr: string): Set<string> {
  return new Set([...stderr.matchAll(BLAMED)].map((match) => match[1] as string));
}

const MISSING = /^cannot open '(.*)': (?:dataset does not exist|no such pool)$/gm;

/** The names that a `zfs list NAME…` says do not exist. */
export function missingNames(stderr: string): Set<string> {
  return new Set([...stderr.matchAll(MISSING)].map((match) => match[1] as string));
}
