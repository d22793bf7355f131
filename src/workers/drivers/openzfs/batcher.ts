export interface GroupOptions<Item, Answer> {
  /** Groups under way at once: more than one, so that one alone need not wait for a group to end. */
  readonly atOnce: number;
  /** The most members of a group; without it as many as its share of all that wait or are under way. */
  readonly members?: number;
  /** Of two members with the same key the later waits for another group; without it nobody does. */
  key?(item: Item): string;
  /** Runs a group. @returns the members' answers, in their order. */
  run(items: readonly Item[]): Promise<readonly Answer[]>;
}

/** Fewer than this are not parted to have more groups at once. */
const SMALLEST_SHARE = 16;

/**
 * Joins what is asked for: those that wait while groups are under way go out together
 * when one of these has ended. The waiting forms the groups; who comes alone goes at once.
 */
export function createGrouper<Item, Answer>(
  options: GroupOptions<Item, Answer>,
): (item: Item) => Promise<Answer> {
  interface Member {
    readonly item: Item;
    resolve(answer: Answer): void;
    reject(error: unknown): void;
  }
  let waiting: Member[] = [];
  let groupsUnderWay = 0;
  let membersUnderWay = 0;
  let isScheduled = false;

  /** Takes the next group out of those who wait, in the order they came. */
  function take(): Member[] {
    // A crowd goes out in equal groups. With most of it in one the others would have little
    // to do, now and ever after: those who are answered together come back together.
    const crowd = waiting.length + membersUnderWay;
    const share = Math.max(SMALLEST_SHARE, Math.ceil(crowd / options.atOnce));
    const members = Math.min(share, options.members ?? share);
    const keys = new Set<unknown>();
    const group: Member[] = [];
    const left: Member[] = [];
    for (const member of waiting) {
      const key = options.key ? options.key(member.item) : member;
      if (group.length < members && !keys.has(key)) group.push(member);
      else left.push(member);
      keys.add(key);
    }
    waiting = left;
    return group;
  }

  async function runGroup(group: readonly Member[]): Promise<void> {
    groupsUnderWay++;
    membersUnderWay += group.length;
    try {
      const answers = await options.run(group.map(({ item }) => item));
      for (const [index, member] of group.entries()) member.resolve(answers[index] as Answer);
    } catch (error) {
      for (const member of group) member.reject(error);
    } finally {
      groupsUnderWay--;
      membersUnderWay -= group.length;
      start();
    }
  }

  function start(): void {
    while (groupsUnderWay < options.atOnce && waiting.length > 0) void runGroup(take());
  }

  return (item) =>
    new Promise<Answer>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (isScheduled) return;
      // After the current turn: what came in one frame goes out in one group.
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        start();
      });
    });
}
