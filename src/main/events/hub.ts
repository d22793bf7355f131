import type { Grant } from "../../protocol/access/roles.js";
import type { SubscriberKind } from "../observability/event-metrics.js";
import { type Happening, type NumberedEvent, numbered, type Topic } from "./event.js";
import { EventBatch } from "./event-batch.js";
import { createEventRing } from "./event-ring.js";
import { createView, type SeenEvent, seen } from "./visible-events.js";

/** Why a subscription ends, unless its client goes. */
export type SubscriptionEnd = "slow" | "stopping" | "revoked";

/** Whoever gets events. Its functions don't throw. */
export interface Subscriber {
  readonly kind: SubscriberKind;
  /** Takes events in their order. Others get the same batch. */
  take(batch: EventBatch): void;
  /** Called at most once, after the last events: the daemon stops. Resolves when its client knows. */
  end(reason: SubscriptionEnd): Promise<void>;
}

/** Which events a subscriber wants. */
export interface Wanted {
  /** Undefined: all. */
  readonly topics: ReadonlySet<Topic> | undefined;
  /** Only what this lets its caller know of. */
  readonly grant: Grant;
  /** The last event that it has. Undefined: it wants those to come. */
  readonly since: EventPlace | undefined;
}

/** The place of an event, and of those who have all up to it. */
export interface EventPlace {
  readonly epoch: string;
  readonly seq: number;
}

export interface Subscription extends EventPlace {
  /** Whether all after `since` is in `missed` or comes: false if some of it is not kept any more. */
  readonly isComplete: boolean;
  /** Undefined if nothing was. `take` gets those that come after them. */
  readonly missed: EventBatch | undefined;
  stop(): void;
}

export interface EventHub {
  publish(happening: Happening): void;
  /** From now on `subscriber` gets the events that it wants. `seq` of the answer is the place before `missed`. */
  subscribe(wanted: Wanted, subscriber: Subscriber): Subscription;
  /** The place of the newest event that its subscribers have been given. */
  readonly place: EventPlace;
  /** How many there are, or of a kind. */
  subscribers(kind?: SubscriberKind): number;
  /** Once true it stays so. */
  readonly isClosed: boolean;
  /** Ends all subscriptions, and resolves when their clients know. */
  close(): Promise<void>;
}

/** Those who get the same events. */
interface Group {
  readonly topics: ReadonlySet<Topic> | undefined;
  readonly grant: Grant;
  /** Whether its grant lets it know of an event. */
  readonly mayKnow: (event: SeenEvent) => boolean;
  readonly members: Set<Subscriber>;
  /** Events that they get at the end of this turn. */
  pending: NumberedEvent[];
}

/** What takes less holds up nobody. */
const LONG_MS = 2;
/** A rest, to what was before it. Each message costs much and each event in it little: with 1, 5,000 subscribers cost half as much again. */
const REST = 2;
const LONGEST_REST_MS = 100;
/** So many are not kept waiting: together they must be much less than what may wait for a subscriber. */
const MOST_WAITING = 200;

/**
 * Numbers events from 1 on without gaps, and gives them to their subscribers in this order. An event is
 * written once, and looked at once for each group of subscribers that may and want to know the same. Those of
 * one turn of the event loop go out together at its end. Where that takes long, those that come next wait twice as long: so
 * thousands of subscribers leave most of the thread to calls, and get more events at once.
 * @param most how many events are kept for those who come back.
 */
export function createEventHub(epoch: string, most: number): EventHub {
  const ring = createEventRing(most);
  const groups = new Map<string, Group>();
  const concerned = createConcerned(() => groups.values());
  /** Of the newest event. */
  let seq = 0;
  /** Set while some group has pending events, those after `given`: keeps them from being given in time. */
  let unplan: (() => void) | undefined;
  /** By performance.now(): nothing is given before, unless many wait or somebody subscribes. */
  let restsUntil = 0;
  let given = 0;
  let isClosed = false;

  function plan(restMs: number): void {
    if (restMs > 0) {
      const timer = setTimeout(flush, restMs);
      unplan = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(flush);
      unplan = () => clearImmediate(immediate);
    }
  }

  function hurry(): void {
    unplan?.();
    plan(0);
  }

  function flush(): void {
    unplan?.();
    unplan = undefined;
    const startedAt = performance.now();
    for (const group of groups.values()) {
      if (group.pending.length === 0) continue;
      const batch = new EventBatch(epoch, group.pending);
      group.pending = [];
      for (const member of group.members) member.take(batch);
    }
    const endedAt = performance.now();
    const tookMs = endedAt - startedAt;
    if (tookMs >= LONG_MS) restsUntil = endedAt + Math.min(REST * tookMs, LONGEST_REST_MS);
  }

  function groupOf({ topics, grant }: Wanted): Group {
    const key = keyOf(topics, grant);
    const known = groups.get(key);
    if (known) return known;
    const mayKnow = createView(grant);
    const group: Group = { topics, grant, mayKnow, members: new Set(), pending: [] };
    groups.set(key, group);
    concerned.forget();
    return group;
  }

  /** The events that a subscriber has missed. Undefined: they are not all there. */
  function missedBy(wanted: Wanted): readonly NumberedEvent[] | undefined {
    const { since } = wanted;
    if (since === undefined) return [];
    if (since.epoch !== epoch) return undefined;
    const asked = { topics: wanted.topics, mayKnow: createView(wanted.grant) };
    return ring.since(since.seq)?.filter((event) => concerns(asked, event.topic, seen(event)));
  }

  function subscribe(wanted: Wanted, subscriber: Subscriber): Subscription {
    // Those of this turn are before its place.
    flush();
    const missed = missedBy(wanted);
    const place = { epoch, seq: missed && wanted.since ? wanted.since.seq : seq };
    const isComplete = missed !== undefined;
    const batch = missed && missed.length > 0 ? new EventBatch(epoch, missed) : undefined;
    const group = groupOf(wanted);
    group.members.add(subscriber);
    const stop = () => {
      if (!group.members.delete(subscriber) || group.members.size > 0) return;
      groups.delete(keyOf(group.topics, group.grant));
      concerned.forget();
    };
    return { ...place, isComplete, missed: batch, stop };
  }

  return {
    publish: (happening) => {
      const event = numbered(epoch, ++seq, happening);
      ring.add(event);
      for (const group of concerned.by(event)) {
        group.pending.push(event);
        if (unplan) {
          if (group.pending.length === MOST_WAITING) hurry();
          continue;
        }
        given = seq - 1;
        plan(restsUntil - performance.now());
      }
    },
    subscribe,
    get place() {
      return { epoch, seq: unplan ? given : seq };
    },
    subscribers: (kind) => {
      const all = [...groups.values()].flatMap(({ members }) => [...members]);
      return kind === undefined ? all.length : all.filter((each) => each.kind === kind).length;
    },
    get isClosed() {
      return isClosed;
    },
    close: async () => {
      isClosed = true;
      flush();
      const members = [...groups.values()].flatMap((group) => [...group.members]);
      await Promise.all(members.map((member) => member.end("stopping")));
    },
  };
}

/** Of so many names it is kept who gets their events: much happens to a name again, and few have a grant of their own. */
const KEPT_NAMES = 4_096;

/** Which groups get an event. Each is asked once for the events of a name, until `forget`: groups have come or gone. */
function createConcerned(groups: () => Iterable<Group>) {
  const known = new Map<string, readonly Group[]>();
  return {
    by: (event: NumberedEvent): readonly Group[] => {
      const { topic, action, pool, id } = event;
      const key = `${topic} ${action} ${pool} ${id}`;
      const found = known.get(key);
      if (found) return found;
      const asSeen = seen(event);
      const asked = [...groups()].filter((group) => concerns(group, topic, asSeen));
      if (known.size >= KEPT_NAMES) known.clear();
      known.set(key, asked);
      return asked;
    },
    forget: () => known.clear(),
  };
}

function concerns(
  { topics, mayKnow }: Pick<Group, "topics" | "mayKnow">,
  topic: Topic,
  event: SeenEvent,
): boolean {
  return (topics === undefined || topics.has(topic)) && mayKnow(event);
}

function keyOf(topics: ReadonlySet<Topic> | undefined, { pools, names }: Grant): string {
  const sorted = (texts: Iterable<string> | undefined) => (texts === undefined ? null : [...texts].sort());
  return JSON.stringify([sorted(topics), sorted(pools), sorted(names)]);
}
