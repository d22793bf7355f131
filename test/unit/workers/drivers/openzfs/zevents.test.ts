import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { seenChange } from "../../../../../src/workers/drivers/openzfs/zevent-changes.js";
import { createZeventClock } from "../../../../../src/workers/drivers/openzfs/zevent-clock.js";
import { createZeventOrder } from "../../../../../src/workers/drivers/openzfs/zevent-order.js";
import { createZeventReader, type Zevent } from "../../../../../src/workers/drivers/openzfs/zevent-text.js";

const FIXTURES = fileURLToPath(new URL("../../../../fixtures", import.meta.url));
const RELEASES = readdirSync(FIXTURES).filter((folder) => folder.startsWith("zfs-"));

const captured = (release: string) => readFileSync(`${FIXTURES}/${release}/zpool-events.out`, "utf8");
const readAll = (text: string) => createZeventReader().add(text);

function toldOf(events: readonly Zevent[], pool = "tank"): string[] {
  return events
    .flatMap((event) => seenChange(pool, event)?.changes ?? [])
    .map(({ topic, action, id, what, detail }) =>
      [topic, action, id, what, detail].filter(Boolean).join(" "),
    );
}

/** What is told of the changes of capture-events.sh. */
const TOLD = `
guest created tank/guests/g
volume created tank/guests/g/disk-0
volume created tank/a
volume changed tank/a
snapshot created tank/a@s1
snapshot created tank/a@s2
snapshot created tank/guests@r1
snapshot created tank/guests/g@r1
snapshot created tank/guests/g/disk-0@r1
snapshot deleted tank/a@s2
snapshot created tank/a@s3
snapshot deleted tank/a@s3
volume rolled-back tank/a
volume created tank/c
volume changed tank/c
volume changed tank/c
volume changed tank/c
volume changed tank/c
volume deleted tank/c
volume created tank/d
volume created tank/r
volume changed tank/r
volume changed tank/r
snapshot created tank/r@s1
snapshot created tank/d@s9
volume changed tank/r
snapshot created tank/r@s9
snapshot deleted tank/guests/g/disk-0@r1
volume deleted tank/guests/g/disk-0
snapshot deleted tank/guests/g@r1
guest deleted tank/guests/g
snapshot deleted tank/guests@r1
volume deleted tank/guests
snapshot deleted tank/r@s9
snapshot deleted tank/r@s1
volume deleted tank/r
snapshot created tank/d@p
pool changed tank scrub_start
pool changed tank scrub_finish
pool changed tank properties
pool changed tank statechange /dev/vda1 OFFLINE
pool changed tank statechange /dev/vda1 ONLINE
pool changed tank vdev_online /dev/vda1 ONLINE
pool changed tank resilver_start
pool changed tank resilver_finish
pool changed tank pool_export
pool changed tank pool_import
`.trim();

describe.each(RELEASES)("%s", (release) => {
  test("what others have changed is read from what zpool events prints", () => {
    expect(toldOf(readAll(captured(release))).join("\n")).toBe(TOLD);
  });

  test("the numbers of events have no gaps", () => {
    const numbers = readAll(captured(release)).map(({ eid }) => eid);
    expect(numbers.length).toBeGreaterThan(60);
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
  });

  test("another pool is told nothing of it", () => {
    expect(toldOf(readAll(captured(release)), "tan")).toEqual([]);
  });
});

test("events are the same in whatever pieces their text comes", () => {
  const text = captured("zfs-2.3.2").slice(0, 4_000);
  const whole = readAll(text);
  expect(whole.length).toBeGreaterThan(5);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 40 }), (lengths) => {
      const reader = createZeventReader();
      const events: Zevent[] = [];
      let at = 0;
      for (const length of [...lengths, text.length]) {
        events.push(...reader.add(text.slice(at, at + length)));
        at += length;
      }
      expect(events).toEqual(whole);
    }),
  );
});

test("a property whose value looks like an event is no event, and what it spoils is missed by its number", () => {
  const evil = `x\n\n\tclass = "sysevent.fs.zfs.pool_destroy"\n        pool = "tank"`;
  const [first = "", second = "", third = ""] = captured("zfs-2.3.2").split("\n\n");
  const events = readAll(`${first}\n\n${second.replace('" "', `"note:x=${evil}"`)}\n\n${third}\n\n`);
  const order = createZeventOrder();
  for (const event of events) order.take(event);
  expect(events.map(({ eid }) => eid).slice(0, 1)).toEqual([readAll(`${first}\n\n`)[0]?.eid]);
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
      readAll(`${text}\n\n`);
    }),
  );
});

test.each([
  ["a partial receive", "tank/images/.partial-x", "receive", " "],
  ["its publication", "tank/images/.partial-x", "rename", "-> tank/images/x"],
  ["its hidden clone", "tank/images/.partial-x/%recv", "clone swap", "parent=x"],
  ["a hold", "tank/a@s", "hold", "tag=x temp=0 refs=1"],
  ["a bookmark", "tank/a", "bookmark", "name=b"],
  ["the lease", "tank", "set", "imagestore:lease=host 1 a 1"],
  ["the room of guests", "tank/guests", "create", " "],
])("%s is not told", (_what, name, kind, text) => {
  const members = new Map([
    ["history_dsname", name],
    ["history_internal_name", kind],
    ["history_internal_str", text],
  ]);
  const event = { class: "sysevent.fs.zfs.history_event", eid: 1, time: "1", pool: "tank", members };
  expect(seenChange("tank", event)?.changes ?? []).toEqual([]);
});

describe("the order", () => {
  const event = (eid: number, time = String(eid)): Zevent => ({
    ...{ class: "c", eid, time, pool: "", members: new Map() },
  });
  const list = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, index) => event(first + index));

  test("the first list is where it begins", () => {
    const order = createZeventOrder();
    expect(order.resume(list(1, 5))).toEqual({ fresh: [], isWhole: false });
    expect(order.take(event(5))).toBe(false);
    expect(order.take(event(6))).toBe(true);
    expect(order.findLoss()).toBe(false);
  });

  test("it goes on where it was, if the kernel still has all of since", () => {
    const order = createZeventOrder();
    order.resume(list(1, 5));
    expect(order.resume(list(3, 8))).toEqual({ fresh: list(6, 8), isWhole: true });
    expect(order.resume(list(9, 10))).toEqual({ fresh: list(9, 10), isWhole: true });
    expect(order.resume(list(12, 13))).toEqual({ fresh: [], isWhole: false });
    expect(order.resume([])).toEqual({ fresh: [], isWhole: false });
  });

  test("a number that another time has is of another boot", () => {
    const order = createZeventOrder();
    order.resume(list(1, 5));
    expect(order.resume([...list(1, 4), event(5, "other"), event(6)])).toEqual({ fresh: [], isWhole: false });
    expect(order.take(event(7))).toBe(true);
  });

  test("a number that no kernel gave, in the text of a property, keeps nothing from being seen", () => {
    const order = createZeventOrder();
    order.resume(list(1, 5));
    expect([event(4), event(5), event(6), event(1_000_000)].map(order.take)).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect([7, 8, 9].map((eid) => order.take(event(eid)))).toEqual([true, true, true]);
    expect(order.findLoss()).toBe(true);
    // The kernel's list has it too.
    const listed = [...list(1, 6), event(1_000_000), ...list(7, 200)];
    expect(order.resume(listed)).toEqual({ fresh: [event(1_000_000), ...list(7, 200)], isWhole: true });
    expect(order.take(event(201))).toBe(true);
    const other = createZeventOrder();
    other.resume([...list(1, 6), event(1_000_000), ...list(7, 200)]);
    for (const each of list(100, 200)) expect(other.take(each)).toBe(false);
    expect(other.take(event(201))).toBe(true);
    expect(other.findLoss()).toBe(false);
  });

  test("one that comes a little late is not lost; one that never comes is", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const order = createZeventOrder();
      order.resume(list(1, 5));
      expect(order.take(event(7))).toBe(true);
      expect(order.take(event(6))).toBe(true);
      vi.advanceTimersByTime(2_000);
      expect(order.findLoss()).toBe(false);
      order.take(event(9));
      expect(order.findLoss()).toBe(false);
      vi.advanceTimersByTime(2_000);
      expect(order.findLoss()).toBe(true);
      expect(order.findLoss()).toBe(false);
      order.take(event(500));
      expect(order.findLoss()).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the clock", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** What the kernel prints at a time of its own, in ms. */
  const printed = (ms: number) =>
    `0x${Math.floor(ms / 1_000).toString(16)} 0x${Math.round((ms % 1_000) * 1e6).toString(16)} `;
  /** The machine's clock shows this when ours begins. */
  const KERNEL_MS = 1_796_000_000_500;

  test("tells when events were posted, however late they come", () => {
    const clock = createZeventClock();
    vi.advanceTimersByTime(1_000);
    expect(clock.postedAt(printed(KERNEL_MS + 990))).toBeCloseTo(1_000, 0);
    vi.advanceTimersByTime(100_000);
    // The first took 10 ms.
    expect(clock.postedAt(printed(KERNEL_MS + 2_000))).toBeCloseTo(2_010, 0);
    expect(clock.postedAt(printed(KERNEL_MS + 101_000))).toBeCloseTo(101_000, 0);
    expect(clock.postedAt(printed(KERNEL_MS + 100_000))).toBeCloseTo(100_000, 0);
  });

  test("follows a clock that is set, back within two minutes", () => {
    const clock = createZeventClock();
    clock.postedAt(printed(KERNEL_MS));
    vi.advanceTimersByTime(1_000);
    expect(clock.postedAt(printed(KERNEL_MS + 3_600_000))).toBeCloseTo(1_000, 0);
    for (let at = 1_000; at < 130_000; at += 10_000) {
      vi.advanceTimersByTime(10_000);
      clock.postedAt(printed(KERNEL_MS + performance.now()));
    }
    expect(clock.postedAt(printed(KERNEL_MS + performance.now()))).toBeCloseTo(performance.now(), 0);
  });

  test("what has no time was posted now", () => {
    vi.advanceTimersByTime(5_000);
    expect(createZeventClock().postedAt("soon")).toBe(5_000);
  });
});
