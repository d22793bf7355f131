import { describe, expect, test } from "vitest";
import { configSchema } from "../../../../src/main/config/schema.js";
import type { Diagnosis } from "../../../../src/main/diagnosis/diagnosis.js";
import { renderDiagnosis } from "../../../../src/main/diagnosis/diagnosis-text.js";
import { hideSecrets, shownArgv } from "../../../../src/main/diagnosis/hidden-secrets.js";
import {
  ageText,
  alignRows,
  commandText,
  rateText,
  shortArgv,
  sizeText,
} from "../../../../src/main/diagnosis/text-layout.js";
import type { Manifest } from "../../../../src/protocol/backups/manifest.js";
import type { StoreOrder } from "../../../../src/protocol/backups/store-orders.js";
import type { BackupProfile } from "../../../../src/protocol/storage/backup-profile.js";
import type { DatasetName, PoolName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { FetchOrder } from "../../../../src/protocol/storage/operations.js";

const NOTHING_CAME = {
  ...{ receivedBytes: 0, streamBytes: 0, lastByteAt: 0, totalBytes: undefined },
  ...{ requests: 1, repeats: 0, repeatedBytes: 0, alternate: 0 },
};
const AT = Date.parse("2026-03-01T12:00:00Z");
const SECOND = 1_000;
const MIB = 1_048_576;

const config = configSchema.parse({
  numFetchers: 4,
  listen: { origins: ["https://operator:origin-secret@console.example"] },
  pools: [
    {
      name: "tank",
      zfsCommand: ["sshpass", "-p", "ssh-secret", "ssh", "node", "zfs"],
      zpoolCommand: ["sshpass", "-phunter2", "ssh", "node", "zpool"],
      kstatCommand: ["fetch", "--token", "kstat-secret"],
    },
    { name: "fast", driver: "embedded", folder: "/srv/fast" },
  ],
  volumeProperties: { keylocation: "https://agent:key-secret@keys.example/k?sig=key-secret" },
});

const destroy = {
  argv: ["sshpass", "-p", "ssh-secret", "ssh", "node", "zfs", "destroy", "-r", "tank/guests/g 1"],
  pid: 4711,
  state: "running",
  ms: 12 * SECOND,
} as const;

const deletion = {
  id: 7,
  name: "DeleteGuestsDisks",
  requestId: "agent-1",
  datasets: ["g 1"],
  ms: 65 * SECOND,
  lateMs: 5 * SECOND,
  locks: ["tank subtree shared", "tank/guests/g 1 subtree owned"],
  waitsFor: [{ kind: "driver", what: "destroy tank/guests/g 1", ms: 12 * SECOND }],
  commands: [destroy],
} as const;

const still = {
  ...{ id: 2, name: "download", requestId: "r-9", datasets: ["fast/a@s"], ms: 80 * SECOND, lateMs: 1_500 },
  ...{ locks: [], commands: [] },
  waitsFor: [{ kind: "stream", what: "bytes of fast/a@s", ms: 70 * SECOND, stillMs: 69 * SECOND }],
} as const;

const full: Diagnosis = {
  at: AT,
  pid: 100,
  uptimeMs: 3 * 3600 * SECOND,
  versions: [
    ["imagestore", "1.2.3"],
    ["pool tank", "openzfs, zfs-2.3.2-1"],
  ],
  readiness: {
    ok: true,
    value: {
      stopping: false,
      pools: new Map([
        ["tank", "ready"],
        ["fast", "no answer within 1500 ms"],
      ]),
      notices: new Map([["tank", ["3 files are in lost"]]]),
      late: new Map([["fast", [still]]]),
    },
  },
  loop: { nowMs: 0.04, p99Ms: 1.26, maxMs: 81, busy: 0.125 },
  actors: [
    {
      ...{ pool: "tank", driver: "openzfs", state: "ready", pending: 2, restarts: 1, opened: undefined },
      recentlyLate: [{ at: AT - 90 * SECOND, work: { ...deletion, commands: [], waitsFor: [], locks: [] } }],
      said: {
        ok: true,
        value: {
          works: 5,
          work: [
            deletion,
            {
              ...{ id: 9, name: "CreateSnapshot", datasets: ["tank/guests/g 1/disk-0"], ms: 400 },
              ...{ locks: [], commands: [] },
              waitsFor: [{ kind: "lock", what: "tank/guests/g 1 subtree shared", ms: 400, heldBy: [7, 3] }],
            },
          ],
          commands: [destroy, { argv: ["zfs", "list"], state: "slot", ms: 20 }],
          runner: "answers",
          slots: [{ kind: "read", most: 8, running: 0, waiting: 1 }],
          fetches: { running: 1, waiting: 2 },
          holds: [
            { tag: "imagestore:run-1", name: "tank/a@s", users: 2 },
            { tag: "imagestore:run-0", users: 1 },
          ],
        },
      },
    },
    {
      ...{ pool: "fast", driver: "embedded", state: "ready", pending: 0, restarts: 0, opened: undefined },
      recentlyLate: [],
      said: { ok: false, why: "no answer within 2000 ms" },
    },
  ],
  streaming: {
    restarts: 0,
    said: { ok: true, value: { pids: new Map([[4, 4712]]), bulkConnections: 3 } },
  },
  downloads: [
    {
      ...{
        id: "d-1",
        path: "bulk",
        pool: "tank" as PoolName,
        snapshot: "tank/a@s" as SnapshotName,
        requestId: "r-9",
        peer: "10.0.0.9",
      },
      ...{ startedAt: AT - 10 * SECOND, bytes: 20 * MIB, lastByteAt: AT - 4 * SECOND },
      ...{ phase: "streaming", isBlocked: true, waitingBytes: MIB, sendId: 4 },
    },
  ],
  fetches: [
    {
      ...{
        id: 5,
        owner: "tank",
        startedAt: AT - 20 * SECOND,
        ...NOTHING_CAME,
        latest: () => NOTHING_CAME,
      },
      order: {
        url: "https://agent:image-secret@images.example/golden?signature=query-secret",
        target: "tank/images/.partial-golden" as DatasetName,
        hosts: { service: undefined, sources: [] },
        command: ["zfs", "receive"],
      },
    },
  ],
  stores: [],
  http: {
    connections: { ok: false, why: "no answer within 2000 ms" },
    mostConnections: 1000,
    mostBulk: 512,
    bodyBytes: 512,
  },
  processes: {
    ok: true,
    value: [
      { pid: 100, parent: 1, group: 100, state: "S", name: "node", ms: 9 * SECOND },
      { pid: 4711, parent: 100, group: 100, state: "D", name: "zfs", ms: 400, waitsIn: "txg_wait_synced" },
    ],
  },
  config,
};

const EXPECTED = `imagestore diagnosis of 2026-03-01T12:00:00.000Z

Versions
  imagestore  1.2.3
  pool tank   openzfs, zfs-2.3.2-1

Daemon
  pid                 100
  uptime              3 h 0 min, since 2026-03-01T09:00:00.000Z
  /readyz             not ready (503)
    pool tank         ready
    pool fast         no answer within 1500 ms
  event loop of main  delay 0.0 ms now, p99 1.3 ms, most 81.0 ms; 12.5 % busy

Threads
  thread         state  pending     restarts  answer
  actor of tank  ready  2 of 10000  1         answers
  actor of fast  ready  0 of 10000  0         SILENT: no answer within 2000 ms
  streaming      -      -           0         answers

Notices
  pool tank: 3 files are in lost

Late
  pool fast:
    #2 download  1 min 20 s  LATE by 1.5 s  fast/a@s  request r-9
        waits     1 min 10 s for stream bytes of fast/a@s, whose bytes stand still for 1 min 9 s

Pool tank: queues
  queue          running  waiting
  image fetches  1 of 4   2 of 256
  read commands  0 of 8   1
  runner: answers

Pool tank: work under way
  #7 DeleteGuestsDisks  1 min 5 s  LATE by 5.0 s  g 1  request agent-1
      has lock  tank subtree shared
      has lock  tank/guests/g 1 subtree owned
      waits     12.0 s for driver destroy tank/guests/g 1
      command   pid 4711, 12.0 s: sshpass -p … ssh node zfs destroy -r 'tank/guests/g 1'
  #9 CreateSnapshot  400 ms  tank/guests/g 1/disk-0
      waits     400 ms for lock tank/guests/g 1 subtree shared, held by #7 DeleteGuestsDisks, #3
  and 3 more, which are younger

Pool tank: commands
  pid   state             age     command
  4711  runs              12.0 s  sshpass -p … ssh node zfs destroy -r 'tank/guests/g 1'
  -     waits for a slot  20 ms   zfs list

Pool tank: holds
  tank/a@s                           imagestore:run-1  2 downloads
  (held before the actor's restart)  imagestore:run-0  1 download

Pool tank: recently late
  1 min 30 s ago:
    #7 DeleteGuestsDisks  1 min 5 s  LATE by 5.0 s  g 1  request agent-1

Pool fast: work under way
  SILENT: no answer within 2000 ms

Pool fast: recently late
  none

Downloads
  1 of 256; bytes are those that the client's socket has taken; of the path bulk, those that its process has written
  snapshot  bytes     rate       age     last byte  path  state                            ready    pid   client    request
  tank/a@s  20.0 MiB  2.0 MiB/s  10.0 s  4.0 s ago  bulk  streaming, waits for the client  1.0 MiB  4712  10.0.0.9  r-9

Image fetches
  bytes are those that came from the image service
  target                       bytes  rate   age     last byte  stream  pid  source
  tank/images/.partial-golden  0 B    0 B/s  20.0 s  none came  0 B     -    https://images.example/golden?…

Copies, pulls and receives
  none

Backups
  none

HTTP
  connections       not known (no answer within 2000 ms) of 1000
  bulk connections  3 of 512
  bodies in flight  512 B of 64.0 MiB

Processes
  pid   parent  age     program  state
  100   1       9.0 s   node     sleeps
  4711  100     400 ms  zfs      hangs in the kernel (txg_wait_synced)

Configuration
`;

describe("the text of a diagnosis", () => {
  test("has a section for each part, and tells of a silent part in its own", () => {
    const text = renderDiagnosis(full);
    const [parts = "", configuration = ""] = text.split(/(?<=\nConfiguration\n)/);
    expect(parts).toBe(EXPECTED);
    expect(JSON.parse(configuration)).toMatchObject({
      listen: { port: 19999, origins: ["https://console.example/"] },
      pools: [
        {
          zfsCommand: ["sshpass", "-p", "…", "ssh", "node", "zfs"],
          zpoolCommand: ["sshpass", "-p…", "ssh", "node", "zpool"],
          kstatCommand: ["fetch", "--token", "…"],
        },
        { folder: "/srv/fast" },
      ],
      volumeProperties: { keylocation: "https://keys.example/k?…" },
    });
    expect(text).not.toMatch(/ $/m);
  });

  test("lists what moves bytes by its kind, and what is done with stores", () => {
    const [fetch] = full.fetches;
    if (!fetch) throw new Error("no fetch");
    const of = (id: number, order: Partial<FetchOrder>) => ({
      ...{ ...fetch, id, receivedBytes: 2 * MIB, streamBytes: MIB, lastByteAt: AT - SECOND },
      order: { ...fetch.order, ...order },
    });
    const target = "tank/images/.incoming-1" as DatasetName;
    const store = (id: number, movedBytes: number, order: StoreOrder) => ({
      ...{ id, owner: id === 11 ? "" : "tank", order, startedAt: AT - 10 * SECOND, movedBytes },
    });
    const profile = {} as BackupProfile;
    const manifest = { names: { to: "tank/a@s" } } as Manifest;
    const text = renderDiagnosis({
      ...full,
      streaming: {
        restarts: 0,
        said: { ok: true, value: { pids: new Map([[10, 77]]), bulkConnections: 0 } },
      },
      fetches: [
        fetch,
        of(6, { url: "zfs:/tank/a@s", sender: { command: ["zfs", "send"], totalBytes: undefined } }),
        of(7, { url: `body:/${target}`, target, body: 3 }),
        of(8, {
          url: "https://peer.example/snapshots/download?id=a&token=peer-secret",
          target,
          isOnce: true,
        }),
      ],
      stores: [
        store(10, 5 * MIB, {
          ...{ task: "upload", profile, profileName: "offsite", command: [], manifest },
          estimatedBytes: undefined,
        }),
        store(11, 0, { task: "list", profile, profileName: "offsite", folder: "" }),
        store(12, 0, { task: "remove", profile, profileName: "near", ids: ["1/2/3.full", "1/2/4.full"] }),
      ],
    });
    const sectionOf = (heading: string) => text.split("\n\n").find((each) => each.startsWith(`${heading}\n`));
    expect(sectionOf("Image fetches")).toBe(
      [
        "Image fetches",
        "  bytes are those that came from the image service",
        "  target                       bytes  rate   age     last byte  stream  pid  source",
        "  tank/images/.partial-golden  0 B    0 B/s  20.0 s  none came  0 B     -    https://images.example/golden?…",
      ].join("\n"),
    );
    expect(sectionOf("Copies, pulls and receives")).toBe(
      [
        "Copies, pulls and receives",
        "  kind     target                       bytes    rate         age     last byte  stream   pid  source",
        "  copy     tank/images/.partial-golden  2.0 MiB  102.4 KiB/s  20.0 s  1.0 s ago  1.0 MiB  -    tank/a@s",
        "  receive  tank/images/.incoming-1      2.0 MiB  102.4 KiB/s  20.0 s  1.0 s ago  1.0 MiB  -    a client",
        "  pull     tank/images/.incoming-1      2.0 MiB  102.4 KiB/s  20.0 s  1.0 s ago  1.0 MiB  -    https://peer.example/snapshots/download?…",
      ].join("\n"),
    );
    expect(sectionOf("Backups")).toBe(
      [
        "Backups",
        "  bytes are those that went to the store or came from it",
        "  order   store    pool  bytes    rate         age     pid  about",
        "  upload  offsite  tank  5.0 MiB  512.0 KiB/s  10.0 s  77   tank/a@s",
        "  list    offsite  -     0 B      0 B/s        10.0 s  -    all",
        "  remove  near     tank  0 B      0 B/s        10.0 s  -    2 backups",
      ].join("\n"),
    );
    expect(text).not.toContain("secret");
  });

  test("has no secret of URLs, commands, settings and the environment", () => {
    expect(JSON.stringify(full, (_, value) => (value instanceof Map ? [...value] : value))).toMatch(/secret/);
    expect(renderDiagnosis(full)).not.toMatch(/secret|hunter2/);
    const home = process.env.HOME;
    expect(home).toBeTruthy();
    expect(renderDiagnosis(full)).not.toContain(`${home}/`);
  });

  test("tells what it does not know where nothing answers", () => {
    const why = "no answer within 2000 ms";
    const silent = { ok: false, why } as const;
    const text = renderDiagnosis({
      ...full,
      readiness: silent,
      processes: silent,
      streaming: { restarts: 2, said: silent },
      actors: [],
    });
    expect(text).toContain(`/readyz             not known: ${why}`);
    expect(text).toContain(`Notices\n  not known: ${why}`);
    expect(text).toContain(`Processes\n  not known: ${why}`);
    expect(text).toMatch(/streaming +- +- +2 +SILENT: no answer/);
    expect(text).toMatch(/1\.0 MiB +not known +10\.0\.0\.9/);
    expect(text).toMatch(/0 B +not known +https/);
    expect(text).toContain(`bulk connections  not known (${why}) of 512`);
  });
});

describe("what is shown of a text with secrets", () => {
  test.each([
    ["get http://u:p@host/a?sig=x now", "get http://host/a?… now"],
    ['"url": "https://h/x?y=z"', '"url": "https://h/x?…"'],
    ["password=abc user=me", "password=… user=me"],
    ['"apiToken": "abc", "b": "c"', '"apiToken": "…", "b": "c"'],
    ["zfs get -o value used tank", "zfs get -o value used tank"],
  ])("%s", (text, shown) => {
    expect(hideSecrets(text)).toBe(shown);
    expect(hideSecrets(shown)).toBe(shown);
  });

  test("a password that follows its option is left out of an argv", () => {
    expect(shownArgv(["/usr/bin/sshpass", "-p", "a b", "ssh", "-p", "22"])).toEqual([
      "/usr/bin/sshpass",
      "-p",
      "…",
      "ssh",
      "-p",
      "22",
    ]);
  });
});

test("what thousands of operations wait for is told soon, and without the whole argv of their batch", () => {
  const names = Array.from({ length: 300 }, (_, index) => `tank/guests/${"g".repeat(200)}-${index}@s`);
  const batch = { argv: ["zfs", "program", "tank", "-", ...names], state: "running", ms: 1 } as const;
  const work = Array.from({ length: 100 }, (_, index) => ({ ...deletion, id: index, commands: [batch] }));
  const [actor] = full.actors;
  if (!actor?.said.ok || !full.readiness.ok) throw new Error("the example has answers");
  const late = new Map([["tank", Array.from({ length: 5_000 }, () => work[0] ?? deletion)]]);
  const startedAt = performance.now();
  const text = renderDiagnosis({
    ...full,
    readiness: { ok: true, value: { ...full.readiness.value, late } },
    actors: [{ ...actor, said: { ok: true, value: { ...actor.said.value, work } } }],
  });
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(text.length).toBeLessThan(2 * MIB);
  expect(text).toContain(`${names[0]} `);
  expect(text).toContain(`${names[299]}\n`);
  expect(text).toContain("…(281 more)");
  expect(text).toContain("and 4980 more");
  expect(shortArgv(["x".repeat(300), "y"])).toEqual([`${"x".repeat(256)}…`, "y"]);
});

test("sizes, ages and rates are told in the unit that suits them", () => {
  expect([0, 1023, 1024, 1.5 * MIB, 2 ** 51].map(sizeText)).toEqual([
    "0 B",
    "1023 B",
    "1.0 KiB",
    "1.5 MiB",
    "2.0 PiB",
  ]);
  expect([0, 999, 59_999, 60_000, 3_600_000, 90_000_000].map(ageText)).toEqual([
    "0 ms",
    "999 ms",
    "59.9 s",
    "1 min 0 s",
    "1 h 0 min",
    "1 d 1 h",
  ]);
  expect([rateText(3 * MIB, 2_000), rateText(5, 0)]).toEqual(["1.5 MiB/s", "-"]);
  expect(commandText(["zfs", "it's", "", "a/b@c"])).toBe("zfs 'it'\\''s' '' a/b@c");
  expect(alignRows([["a", "b"], ["long"], ["c", "d"]])).toEqual(["a     b", "long", "c     d"]);
});
