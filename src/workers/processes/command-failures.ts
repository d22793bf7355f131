import { basename } from "node:path";
import {
  type FailedOutcome,
  type FailureCode,
  fail,
  failed,
  tellAbout,
  withCause,
} from "../../protocol/storage/failures.js";
import { MAX_NAME_BYTES } from "../../protocol/storage/names.js";
import { withoutPaths } from "../../protocol/storage/path-text.js";
import type { CommandEnd } from "./run-command.js";

/**
 * The only module that reads what zfs and zpool write to stderr. Text that no pattern matches
 * gives command.failed and is kept, so a new pattern is needed only when clients have to
 * react to a failure. To add one:
 * 1. Make the command fail on a real pool. Save its stderr as `test/fixtures/zfs-2.3.2/NAME.txt`,
 *    with `$ COMMAND` as the first line. test/openzfs-vm/capture-messages.sh does so for other releases.
 * 2. List NAME under the code that it must give in CODES of
 *    `test/unit/workers/processes/command-failures.test.ts`. The test fails now.
 * 3. Add the pattern to PATTERNS, or the new words to one of them. Anchor it with `^` and `m`, so
 *    that no name can pass for a message. The first match decides: put it before wider patterns.
 * 4. If a command for several names can fail that way, let BLAMED match the names in its message.
 */
interface Pattern {
  readonly match: RegExp;
  /** The failure to report; `stderr` is the whole text. */
  readonly toFailure: (match: RegExpExecArray, stderr: string) => FailedOutcome;
}

const PATTERNS: readonly Pattern[] = [
  {
    match:
      /^cannot (?:open|hold|create|destroy|rename|rollback to|release|send|list)\b.*: (?:dataset does not exist|no such pool(?: or dataset| '.*')?|no such snapshot|no such tag on this dataset)$/m,
    toFailure: () => failed.notFound,
  },
  {
    match: /^could not find any snapshots to destroy; check snapshot names\.$/m,
    toFailure: () => failed.notFound,
  },
  {
    match: /^cannot (?:create|rename|receive|clone)\b.*: (?:dataset already exists|destination '.*' exists)/m,
    toFailure: () => failed.exists,
  },
  { match: /^bookmark '.*' does not exist\.$/m, toFailure: () => failed.notFound },
  {
    match: /^warning: cannot send '.*': incremental source \(.*\) does not exist$/m,
    toFailure: () => failed.notFound,
  },
  {
    match: /^warning: cannot send '.*': not an earlier snapshot from the same fs$/m,
    toFailure: (match) => fail("request.invalid", match[0]),
  },
  {
    match: /^cannot resume send: .*$/m,
    toFailure: (match) => fail("request.invalid", match[0]),
  },
  { match: /^cannot create bookmark '.*': bookmark exists$/m, toFailure: () => failed.exists },
  {
    match: /^cannot promote '.*': conflicting snapshot '.*' from parent '.*'$/m,
    toFailure: (match) => fail("dataset.exists", match[0]),
  },
  {
    match: /^cannot promote '.*': not a cloned filesystem$/m,
    toFailure: () => fail("dataset.wrong_type", "not a clone"),
  },
  {
    match: /^cannot destroy '(.*)': (?:snapshot|volume|filesystem) has dependent clones$/m,
    toFailure: (match, stderr) =>
      fail(
        "dataset.has_clones",
        `${match[1]} has clones: ${namesBelow(stderr, "to destroy the following datasets:")}`,
      ),
  },
  {
    match: /^cannot rollback to '(.*)': clones of previous snapshots exist$/m,
    toFailure: (match, stderr) =>
      fail(
        "dataset.has_clones",
        `snapshots newer than ${match[1]} have clones: ${namesBelow(stderr, "clones and dependents:")}`,
      ),
  },
  {
    match: /^cannot rollback to '(.*)': more recent snapshots or bookmarks exist$/m,
    toFailure: ([, name = ""], stderr) => newerExist(name, namesBelow(stderr, "snapshots and bookmarks:")),
  },
  {
    match: /^cannot destroy snapshot (.*): it's being held\b/m,
    toFailure: ([, name = ""]) => snapshotHeld(name),
  },
  { match: /^cannot .*: (?:dataset|pool) is busy$/m, toFailure: (match) => fail("dataset.busy", match[0]) },
  {
    match:
      /^cannot .*: (?:out of space(?:: (.+))?|dataset is full|refreservation is greater than available space|size is greater than available space)|\bNo space left on device\b/m,
    // The embedded driver's receive has a reason to add; clients compare the words of the others.
    toFailure: ([, why]) =>
      why === undefined ? failed.noSpace : fail("pool.no_space", `${failed.noSpace.failure.message}: ${why}`),
  },
  {
    match: /^cannot .*: (?:quota|refquota|destination .* space quota) exceeded\.?$/im,
    toFailure: () => failed.noSpace,
  },
  {
    match:
      /^cannot (?:create|rename|receive|clone).*: (?:parent is not a filesystem|parent does not exist|parent '.*' is not a filesystem)/m,
    toFailure: (match) => fail("dataset.wrong_type", match[0]),
  },
  {
    match: /^cannot receive.*: (?:incomplete stream|checksum mismatch).*/m,
    toFailure: (match) => fail("image.cut_short", `the image's stream is cut short or damaged: ${match[0]}`),
  },
  {
    match:
      /^cannot receive.*: (?:invalid stream|failed to read from stream|invalid backup stream|stream has unsupported feature|incompatible embedded data stream feature|kernel modules must be upgraded|most recent snapshot of).*|^cannot receive incremental stream: destination '.*' does not exist$/m,
    toFailure: (match) => fail("image.bad_stream", `no usable ZFS stream: ${match[0]}`),
  },
  {
    match:
      /pool I\/O is currently suspended|cannot open '.*': pool is (?:unavailable|currently unavailable)/m,
    toFailure: (match) => fail("pool.unavailable", match[0]),
  },
  {
    match:
      /^(?:warning: )?cannot .*: (?:.*\bkey (?:must be loaded|is not loaded|not loaded)|encryption failure)\b.*/im,
    toFailure: (match) =>
      fail(
        "dataset.key_not_loaded",
        `the key of an encrypted dataset is not loaded (zfs load-key): ${match[0]}`,
      ),
  },
  {
    match: /^cannot .*: (?:name is too long|maximum name nesting depth exceeded).*/m,
    toFailure: (match) =>
      fail("name.invalid", `${match[0]}: at most ${MAX_NAME_BYTES} bytes and 49 slashes with the pool`),
  },
  {
    match: /^cannot .*: dataset is read-only$/m,
    toFailure: (match) => fail("dataset.read_only", match[0]),
  },
  {
    match: /^cannot .*: '.*' does not apply to datasets of this type$/m,
    toFailure: (match) => fail("dataset.wrong_type", match[0]),
  },
  { match: /^cannot .*: pool is read-only$/m, toFailure: (match) => fail("pool.read_only", match[0]) },
  {
    match:
      /^(?:(?:warning: )?cannot .*: permission denied|Permission denied the ZFS utilities must be run as root\.|Permission denied\. Channel programs must be run as root\.|Unable to open \/dev\/zfs: Permission denied\.|.*a password is required|cannot .*: Insufficient privileges)/im,
    toFailure: (match) => fail("command.not_permitted", match[0]),
  },
  {
    match:
      /^(?:The ZFS modules (?:are not loaded|cannot be auto-loaded)\.|\/dev\/zfs and \/proc\/self\/mounts are required\.|Failed to initialize the libzfs library\.)/m,
    toFailure: (match) =>
      fail(
        "command.missing",
        `ZFS is not available: ${[match[0], lineBehind(match)].filter(Boolean).join(" ")}`,
      ),
  },
];

/** The failure to roll back to a snapshot that others are newer than. */
export function newerExist(name: string, newer: string): FailedOutcome {
  return fail(
    "snapshot.newer_exist",
    `newer snapshots than ${name} exist: ${newer}; destroyMoreRecent removes them`,
  );
}

/** The failure to destroy a snapshot that is held, by whom is not known yet. */
export function snapshotHeld(name: string): FailedOutcome {
  const held = `${name} is held: a download of it may be running, or others hold it (zfs holds ${name})`;
  return tellAbout(fail("snapshot.held", held), { object: name });
}

/** The line behind the one of a match; it says what to do. */
function lineBehind({ input, index }: RegExpExecArray): string {
  return input.slice(index).split("\n")[1] ?? "";
}

/** The names that zfs lists, one a line, below the line that ends with `heading`. */
function namesBelow(stderr: string, heading: string): string {
  const lines = stderr.slice(stderr.indexOf(heading) + heading.length).split("\n");
  return lines
    .slice(1)
    .filter((line) => line !== "")
    .join(", ");
}

/** What a missing program of OpenZFS comes from. */
function installHint(program = ""): string {
  if (!/(?:^|\/)(?:zfs|zpool)$/.test(program)) return "";
  return "; install OpenZFS (Debian, Ubuntu: zfsutils-linux; Fedora, RHEL, Alpine, Arch: zfs), or use the embedded driver";
}

/** Longest part of an unknown text that is kept. */
const DETAIL_CHARACTERS = 4000;

/**
 * The failure of a command that did not succeed. A failure without a pattern has the first line
 * of stderr as its message. No message has a path of this machine or a command line: argv and all
 * of stderr, up to 4000 characters, are the cause, which only the log gets.
 */
export function failureOf(end: CommandEnd): FailedOutcome {
  const { failure } = textFailureOf(end);
  const cause = `${end.argv.join(" ").slice(0, 500)}: ${end.stderr.trim().slice(0, DETAIL_CHARACTERS)}`;
  return withCause({ ok: false, failure: { ...failure, message: withoutPaths(failure.message) } }, cause);
}

function textFailureOf(end: CommandEnd): FailedOutcome {
  const { exit, argv, stderr } = end;
  const text = stderr.trim();
  // Behind a prefix such as sudo or ssh: the verb of zfs, not the one of the prefix.
  const program = argv.findIndex((word) => /(?:^|\/)(?:zfs|zpool)$/.test(word));
  const [name = "", verb] = program < 0 ? argv.slice(0, 1) : argv.slice(program, program + 2);
  const called = verb === undefined ? basename(name) : `${basename(name)} ${verb}`;
  const general = (code: FailureCode, what: string) => fail(code, `${called}: ${what}`);
  switch (exit.kind) {
    case "not_started":
      return exit.errno === "EACCES" || exit.errno === "EPERM"
        ? general("command.not_permitted", `not permitted to run ${basename(argv[0] ?? "")}`)
        : exit.errno === "ENOENT"
          ? general("command.missing", `no such program: ${basename(argv[0] ?? "")}${installHint(argv[0])}`)
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
  for (const { match, toFailure } of PATTERNS) {
    const found = match.exec(text);
    if (found) return toFailure(found, text);
  }
  // ssh(1): 255 is an error of ssh itself, and every other status the one of the command.
  if (exit.code === 255 && /(?:^|\/)ssh$/.test(argv[0] ?? "")) {
    return general("pool.unavailable", `the connection of ssh failed: ${text.split("\n")[0] ?? ""}`);
  }
  return general(
    "command.failed",
    text.split("\n")[0]?.slice(0, DETAIL_CHARACTERS) || `exit status ${exit.code}`,
  );
}

const BLAMED = /^cannot (?:open|create snapshot|destroy(?: snapshot)?) '?([^']*?)'?: /gm;

/** The datasets or snapshots that a command with several names failed for, as stderr says. */
export function blamedNames(stderr: string): Set<string> {
  return namesIn(stderr, BLAMED);
}

const MISSING = /^cannot open '(.*)': (?:dataset does not exist|no such pool(?: or dataset)?)$/gm;

/** The names that don't exist, as the stderr of `zfs list NAME…` says. */
export function missingNames(stderr: string): Set<string> {
  return namesIn(stderr, MISSING);
}

/** Whether stderr says only that some of the names don't exist: the command has done the others. */
export function onlyMissing(stderr: string): boolean {
  const lines = stderr.split("\n").filter((line) => line !== "");
  return lines.length > 0 && lines.every((line) => missingNames(line).size > 0);
}

/** What the first group of `pattern` captures, in all its matches. */
function namesIn(stderr: string, pattern: RegExp): Set<string> {
  return new Set(Array.from(stderr.matchAll(pattern), ([, name = ""]) => name));
}
