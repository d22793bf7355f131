import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FailureCode } from "../../../../src/protocol/storage/failures.js";
import { poolNameProblem } from "../../../../src/protocol/storage/names.js";
import { blamedNames, failureOf, missingNames } from "../../../../src/workers/processes/command-failures.js";
import type { CommandEnd } from "../../../../src/workers/processes/run-command.js";

/**
 * What OpenZFS wrote to stderr, a folder for each release: a file a case, the command on its first line.
 * test/openzfs-vm/capture-messages.sh captures them. Not here, for
 * nothing that imagestore runs could be made to write it: "dataset is full", "refreservation is greater
 * than available space", "pool is busy", "No space left on device", "incompatible embedded data stream
 * feature", "invalid backup stream", "kernel modules must be upgraded", "Insufficient privileges", "The
 * ZFS modules are not loaded" and "Failed to initialize the libzfs library" (of other releases and
 * mixed installations), a plain "quota exceeded" (of files, not of volumes), and what sudo says itself. "pool is
 * unavailable" is what a host says that booted without some of the pool's disks.
 */
const FIXTURES = fileURLToPath(new URL("../../../fixtures", import.meta.url));
const RELEASES = readdirSync(FIXTURES).flatMap((folder) => /^zfs-(.+)$/.exec(folder)?.[1] ?? []);

/** The names of the files of a release. */
const filesOf = (release: string) =>
  readdirSync(`${FIXTURES}/zfs-${release}`).flatMap((file) => /^(.+)\.txt$/.exec(file)?.[1] ?? []);

function captured(name: string, release = "2.3.2"): string {
  const text = readFileSync(`${FIXTURES}/zfs-${release}/${name}.txt`, "utf8");
  return text.slice(text.indexOf("\n") + 1);
}

function endOf(
  stderr: string,
  exit: CommandEnd["exit"] = { kind: "exited", code: 1 },
  argv: readonly string[] = ["zfs", "destroy", "-r", "ut/x"],
): CommandEnd {
  return { argv, stdout: "", stderr, exit, ms: 1 };
}

const CODES: Partial<Record<FailureCode, readonly string[]>> = {
  "dataset.not_found": [
    "release-missing-tag",
    "open-missing-dataset",
    "open-missing-snapshot",
    "open-missing-many",
    "open-missing-pool-dataset",
    "open-missing-pool",
    "create-missing-pool",
    "destroy-missing-dataset",
    "destroy-missing-snapshot",
    "destroy-missing-snapshot-recursive",
    "hold-missing-snapshot",
    "hold-missing-dataset",
    "release-missing-snapshot",
    "release-missing-dataset",
    "snapshot-missing-dataset",
    "snapshot-group-missing",
    "clone-missing-origin",
    "rename-missing",
    "destroy-missing-bookmark",
    "send-from-no-bookmark",
    "get-missing-bookmark",
    "rollback-missing",
    "send-missing",
    "receive-missing-parent",
  ],
  "request.invalid": ["send-from-newer", "send-bad-token"],
  "name.invalid": ["name-too-long", "nested-deep"],
  "dataset.exists": [
    "snapshot-exists",
    "snapshot-exists-recursive",
    "snapshot-group-exists",
    "clone-exists",
    "create-volume-exists",
    "rename-exists",
    "bookmark-exists",
    "promote-conflict",
    "receive-exists",
    "receive-onto-partial",
    "receive-at-once",
  ],
  "dataset.wrong_type": [
    "clone-missing-parent",
    "clone-below-volume",
    "create-volume-below-volume",
    "rename-missing-parent",
    "rename-below-volume",
    "promote-no-clone",
    "rename-parents-below-volume",
    "set-volsize-filesystem",
    "receive-below-volume",
  ],
  "dataset.has_clones": [
    "destroy-group-clones",
    "destroy-snapshot-with-clones",
    "destroy-snapshots-with-clones-recursive",
    "destroy-volume-with-clones-recursive",
    "destroy-filesystem-with-clones-recursive",
    "rollback-newer-clones-recursive",
  ],
  "dataset.busy": ["destroy-busy", "destroy-sending", "destroy-receiving", "rollback-sending"],
  "snapshot.newer_exist": ["rollback-newer", "rollback-newer-clones"],
  "snapshot.held": ["destroy-group-held", "destroy-held-snapshot", "destroy-held-recursive"],
  "pool.no_space": [
    "create-volume-no-space",
    "create-volume-quota",
    "create-volume-huge",
    "rename-quota",
    "set-volsize-no-space",
    "snapshot-no-space",
    "clone-no-space",
    "receive-no-space",
    "receive-quota",
  ],
  "pool.unavailable": [
    "suspended-snapshot",
    "suspended-create",
    "suspended-clone",
    "suspended-destroy",
    "suspended-rename",
    "suspended-rollback",
    "suspended-hold",
    "suspended-release",
    "suspended-receive",
    "suspended-list",
    "suspended-list-missing",
    "suspended-send",
    "suspended-holds",
  ],
  "dataset.read_only": ["set-volsize-read-only"],
  "pool.read_only": [
    "readonly-create",
    "readonly-snapshot",
    "readonly-destroy",
    "readonly-clone",
    "readonly-rename",
    "readonly-rollback",
    "readonly-hold",
    "readonly-release",
    "readonly-receive",
  ],
  "image.cut_short": ["receive-cut", "receive-cut-data", "receive-resumable", "receive-damaged"],
  "image.bad_stream": [
    "receive-garbage",
    "receive-empty",
    "receive-short-header",
    "receive-incremental",
    "receive-incremental-wrong",
    "receive-unsupported-feature",
  ],
  "command.not_permitted": [
    "perm-device-list",
    "perm-create",
    "perm-destroy-r",
    "perm-snapshot",
    "perm-program",
    "perm-rollback",
    "perm-clone",
    "perm-rename",
    "perm-hold",
    "perm-release",
    "perm-send",
    "perm-receive",
  ],
  "dataset.key_not_loaded": ["key-send", "key-create", "key-receive"],
  "command.missing": ["no-device-list", "no-device-zpool", "no-module-list"],
  // Nothing that a client could act on: the text is kept.
  "command.failed": [
    "hold-twice",
    "clone-other-pool",
    "destroy-volume-with-children",
    "destroy-filesystem-with-children",
    "invalid-name",
    "bad-property",
    "poolname-log",
    "poolname-mirrorx",
  ],
};

const cases = Object.entries(CODES).flatMap(([code, names]) => names.map((name) => [name, code] as const));

/**
 * What 2.1 says less about. A held snapshot is only called busy there (and upstream before 2.3.3): the
 * driver looks for the hold. It checks a stream's sum before its features.
 */
const ON_2_1: Readonly<Record<string, FailureCode>> = {
  "destroy-group-held": "dataset.busy",
  "destroy-held-snapshot": "dataset.busy",
  "destroy-held-recursive": "dataset.busy",
  "receive-unsupported-feature": "image.cut_short",
};

describe("what OpenZFS writes", () => {
  test("every captured file has its code here, and 2.3.2 has all", () => {
    const names = cases.map(([name]) => name).sort();
    expect(filesOf("2.3.2").sort()).toEqual(names);
    for (const release of RELEASES) expect(names).toEqual(expect.arrayContaining(filesOf(release)));
    expect(RELEASES).toEqual(["2.1.11", "2.3.2", "2.4.4"]);
  });

  describe.each(RELEASES)("in %s", (release) => {
    const files = new Set(filesOf(release));
    test.each(cases.filter(([name]) => files.has(name)))("%s is %s", (name, code) => {
      const { failure } = failureOf(endOf(captured(name, release)));
      expect(failure.code).toBe(release.startsWith("2.1.") ? (ON_2_1[name] ?? code) : code);
      expect(failure.message).toMatch(/\S/);
    });
  });

  test.each(CODES["command.failed"] ?? [])("%s keeps its first line as the message", (name) => {
    const text = captured(name);
    const { failure } = failureOf(endOf(text));
    expect(failure.message).toBe(`zfs destroy: ${text.split("\n")[0]}`);
    expect(failure.cause).toContain(text.trim());
  });
});

describe("what a client sees", () => {
  const argv = ["/usr/bin/sudo", "-n", "/usr/sbin/zfs", "destroy", "tank/a"];
  const exits: readonly CommandEnd["exit"][] = [
    { kind: "exited", code: 1 },
    { kind: "lost" },
    { kind: "timed_out", afterMs: 1 },
    { kind: "too_much_output", limitBytes: 1 },
    { kind: "signalled", signal: "SIGKILL" },
    { kind: "not_started", errno: "ENOENT" },
    { kind: "not_started", errno: "EACCES" },
    { kind: "not_started", errno: "EIO" },
  ];
  const stderrs = [
    "cannot unmount '/mnt/secret/a': pool or dataset is busy",
    "cannot mount '/mnt/secret/b': directory is not empty",
    "Unable to open /dev/secret/zfs: Permission denied.",
    "/opt/secret/zfs: no such file",
  ];

  test.each(exits)("has no path and no command line: %o", (exit) => {
    for (const stderr of stderrs) {
      const { failure } = failureOf(endOf(stderr, exit, argv));
      const seen = `${failure.message} ${failure.detail ?? ""}`;
      expect(seen).not.toMatch(/secret|\/usr|sudo -n|destroy tank/);
      expect(failure.cause).toContain(`${argv.join(" ")}: ${stderr}`);
    }
  });

  test("has the names of datasets, and the last part of a path", () => {
    const { failure } = failureOf(
      endOf("cannot mount '/mnt/secret/a': tank/guests/g1 is odd", undefined, argv),
    );
    expect(failure.message).toBe("zfs destroy: cannot mount '…/a': tank/guests/g1 is odd");
  });
});

describe("names in messages", () => {
  const message = (name: string) => failureOf(endOf(captured(name))).failure.message;

  test("clones are named when something can't be destroyed", () => {
    expect(message("destroy-snapshot-with-clones")).toBe(
      "ut/images/img@s1 has clones: ut/guests/g/disk-0, ut/guests/g/disk-1",
    );
    expect(message("destroy-volume-with-clones-recursive")).toBe(
      "ut/images/img has clones: ut/guests/g/disk-0, ut/guests/g/disk-1",
    );
  });

  test("every newer snapshot is named when a rollback is refused", () => {
    expect(message("rollback-newer")).toBe(
      "newer snapshots than ut/vol@s1 exist: ut/vol@s2, ut/vol@s3; destroyMoreRecent removes them",
    );
  });

  test("clones of newer snapshots are named", () => {
    expect(message("rollback-newer-clones-recursive")).toBe(
      "snapshots newer than ut/vol2@s1 have clones: ut/vol2clone",
    );
  });

  test("a held snapshot is named", () => {
    expect(message("destroy-held-recursive")).toBe(
      "ut/vol@s1 is held: a download of it may be running, or others hold it (zfs holds ut/vol@s1)",
    );
  });

  test("a name too long is told with the limit", () => {
    expect(message("name-too-long")).toMatch(
      /^cannot create 'ut\/a+': name is too long: at most 255 bytes and 49 slashes with the pool$/,
    );
    expect(message("nested-deep")).toMatch(/: maximum name nesting depth exceeded: at most 255 bytes/);
  });

  test("what zfs says to do about its modules is kept", () => {
    expect(message("no-module-list")).toBe(
      "ZFS is not available: The ZFS modules cannot be auto-loaded. Try running 'modprobe zfs' as root to manually load them.",
    );
    expect(message("no-device-list")).toContain("Try running 'udevadm trigger'");
  });

  test("a key that is not loaded is told with the command that loads it", () => {
    expect(message("key-create")).toBe(
      "the key of an encrypted dataset is not loaded (zfs load-key): cannot create 'ut/new': encryption root's key is not loaded or provided",
    );
    expect(message("key-send")).toContain("(zfs load-key)");
    // Not captured. The words are those of libzfs of 2.3.
    expect(failureOf(endOf("cannot create 'ut/e/v': encryption failure")).failure.code).toBe(
      "dataset.key_not_loaded",
    );
  });

  test("a refused stream is told with its reason", () => {
    const text =
      "cannot receive new filesystem stream: stream has unsupported feature, byte 0: it is raw; send it without";
    expect(failureOf(endOf(text)).failure.message).toBe(`no usable ZFS stream: ${text}`);
  });

  test("ten thousand newer snapshots are all named", () => {
    const newer = Array.from({ length: 10_000 }, (_, index) => `ut/vol@hourly-${index}`);
    const head = captured("rollback-newer").split("\n").slice(0, 2).join("\n");
    const { failure } = failureOf(endOf(`${head}\n${newer.join("\n")}\n`));
    expect(failure.code).toBe("snapshot.newer_exist");
    for (const name of newer) expect(failure.message.includes(name)).toBe(true);
  });

  test("ten thousand clones are all named", () => {
    const clones = Array.from({ length: 10_000 }, (_, index) => `ut/guests/g${index}/disk-0`);
    const head = captured("destroy-snapshot-with-clones").split("\n").slice(0, 2).join("\n");
    const { failure } = failureOf(endOf(`${head}\n${clones.join("\n")}\n`));
    expect(failure.code).toBe("dataset.has_clones");
    expect(failure.message.endsWith(clones.join(", "))).toBe(true);
  });

  test("the missing ones of a listing are found by name", () => {
    expect(missingNames(captured("open-missing-many"))).toEqual(new Set(["ut/none", "ut/vol@none"]));
    expect(missingNames(captured("open-missing-pool-dataset"))).toEqual(new Set(["nopool/x"]));
    expect(missingNames(captured("perm-device-list"))).toEqual(new Set());
    expect(missingNames("")).toEqual(new Set());
  });

  test("a command on several tells on which of them it failed", () => {
    const blamed = (name: string) => [...blamedNames(captured(name))];
    expect(blamed("snapshot-group-exists")).toEqual(["ut/a@s", "ut/b@s"]);
    expect(blamed("snapshot-group-missing")).toEqual(["ut/none"]);
    expect(blamed("destroy-group-held")).toEqual(["ut/a@held"]);
    expect(blamed("destroy-group-clones")).toEqual(["ut/a@cloned"]);
    expect(blamed("snapshot-exists")).toHaveLength(1);
    expect(blamedNames("")).toEqual(new Set());
  });
});

describe("commands that did not come to an exit status", () => {
  const code = (exit: CommandEnd["exit"]) => failureOf(endOf("", exit)).failure;

  test.each([
    [
      { kind: "not_started", errno: "ENOENT" },
      "command.missing",
      "zfs destroy: no such program: zfs; install OpenZFS (Debian, Ubuntu: zfsutils-linux; Fedora, RHEL, Alpine, Arch: zfs), or use the embedded driver",
    ],
    [
      { kind: "not_started", errno: "EACCES" },
      "command.not_permitted",
      "zfs destroy: not permitted to run zfs",
    ],
    [
      { kind: "not_started", errno: "EPERM" },
      "command.not_permitted",
      "zfs destroy: not permitted to run zfs",
    ],
    [{ kind: "not_started", errno: "EAGAIN" }, "command.failed", "zfs destroy: not started: EAGAIN"],
    [
      { kind: "timed_out", afterMs: 500 },
      "command.timed_out",
      "zfs destroy: no end after 500 ms, killed; the change may still happen",
    ],
    [
      { kind: "too_much_output", limitBytes: 9 },
      "command.failed",
      "zfs destroy: more than 9 bytes of output",
    ],
    [
      { kind: "signalled", signal: "SIGKILL" },
      "service.interrupted",
      "zfs destroy: killed by SIGKILL; the outcome is unknown, ask again",
    ],
    [{ kind: "exited", code: 7 }, "command.failed", "zfs destroy: exit status 7"],
  ] as const)("%j is %s", (exit, expected, message) => {
    expect(code(exit)).toMatchObject({ code: expected, message });
  });

  test("a failed connection of ssh is retryable, and no other command's 255 is", () => {
    const ended = (argv: readonly string[]) =>
      failureOf(
        endOf("ssh: connect to host h port 22: Connection refused", { kind: "exited", code: 255 }, argv),
      );
    expect(ended(["/usr/bin/ssh", "h", "zfs", "list"]).failure).toMatchObject({
      code: "pool.unavailable",
      message: "zfs list: the connection of ssh failed: ssh: connect to host h port 22: Connection refused",
    });
    expect(ended(["sudo", "zfs", "list"]).failure.code).toBe("command.failed");
  });

  test("a command with words in front of zfs is named by its program and its verb", () => {
    const argv = ["sudo", "-n", "zfs", "destroy", "ut/x"];
    const { failure } = failureOf(endOf("", { kind: "not_started", errno: "ENOENT" }, argv));
    expect(failure.message).toContain("no such program: sudo");
  });
});

test("text that nobody knows is a general failure, whatever it says", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const { failure } = failureOf(endOf(`xx ${text}`));
      expect(failure.code).toBe("command.failed");
      expect(failure.cause).toContain(text.trim().slice(0, 1_000));
    }),
  );
});

test("names that look like messages change nothing: patterns are anchored", () => {
  // A space and most of punctuation are no part of names; this is the nearest that a name can come.
  const stderr = "cannot open 'ut/x: dataset is busy': something new";
  expect(failureOf(endOf(stderr)).failure.code).toBe("command.failed");
});

describe("names of pools, as zpool itself takes them", () => {
  // `zpool create NAME` in OpenZFS 2.3.2 made these.
  test.each(["logs", "cachepool", "special", "dedup", "cache", "raidy"])("%s is accepted", (name) => {
    expect(poolNameProblem(name)).toBeUndefined();
  });

  test.each(["log", "mirrorx"])("%s is reserved", (name) => {
    expect(captured(`poolname-${name}`)).toContain("name is reserved");
    expect(poolNameProblem(name)).toMatch(/reserved/);
  });
});
