/** An event of the kernel, as `zpool events -v` prints it. */
export interface Zevent {
  /** Such as `sysevent.fs.zfs.history_event`. */
  readonly class: string;
  /** Counts all events of the machine, of all pools, from the start of its kernel module on. */
  readonly eid: number;
  /** When it was posted, as it is printed. With `eid` it tells an event from those before a reboot. */
  readonly time: string;
  /** "" if it is about none. */
  readonly pool: string;
  /** All that it says, as printed: texts without their quotes. */
  readonly members: ReadonlyMap<string, string>;
}

interface ZeventReader {
  /** Takes more of the text. @returns the events that are complete now, in their order. */
  add(text: string): readonly Zevent[];
}

/** An event has some 20 lines. Nothing else is kept of one that doesn't end. */
const MOST_LINES = 500;
/** A line that is longer is none of zpool's. */
const LONGEST_LINE = 64 * 1024;

const MEMBER = /^\s+([a-z0-9_.-]+) = (.*)$/;
/** A text; states have their number behind it. */
const TEXT = /^"(.*)"(?: \(0x[0-9a-f]+\))?$/;

/**
 * Reads what `zpool events -v` and `zpool events -v -f` print: for each event a line with its time and class, a
 * line for each member, and an empty line. Lines that are no member, such as those of lists, are not read. Values come as
 * they are: that of a user property may have lines of its own, and spoil its event. What can't be read is left out,
 * so that its number is missed.
 */
export function createZeventReader(): ZeventReader {
  /** The line that has not ended. */
  let rest = "";
  let members = new Map<string, string>();

  function take(line: string): Zevent | undefined {
    if (line.trim() === "") {
      const event = zeventOf(members);
      members = new Map();
      return event;
    }
    const [, name, value = ""] = MEMBER.exec(line) ?? [];
    // The first counts: members of nested lists have names of their own.
    if (name !== undefined && members.size < MOST_LINES && !members.has(name))
      members.set(name, unquoted(value));
    return undefined;
  }

  return {
    add: (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LONGEST_LINE) rest = "";
      return lines.flatMap((line) => take(line) ?? []);
    },
  };
}

function unquoted(value: string): string {
  return TEXT.exec(value)?.[1] ?? value.trim();
}

function zeventOf(members: ReadonlyMap<string, string>): Zevent | undefined {
  const eid = Number(members.get("eid"));
  const { class: name, time, pool } = Object.fromEntries(members);
  if (name === undefined || !Number.isSafeInteger(eid)) return undefined;
  return { class: name, eid, time: time ?? "", pool: pool ?? "", members };
}
