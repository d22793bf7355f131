import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { TOPICS, type Topic } from "./event.js";
import type { EventPlace, Wanted } from "./hub.js";

const PLACE = /^([0-9a-f]{1,64}):(\d{1,15})$/;

function isTopic(text: string): text is Topic {
  return TOPICS.some((topic) => topic === text);
}

/** Reads the names of topics; none are all. Fails: request.invalid. */
export function parseTopics(texts: readonly string[]): Outcome<Wanted["topics"]> {
  if (texts.length === 0) return succeed(undefined);
  const topics = new Set<Topic>();
  for (const text of texts) {
    if (!isTopic(text)) {
      const known = TOPICS.join(", ");
      return fail(
        "request.invalid",
        `topics: there is no ${JSON.stringify(text.slice(0, 64))}; there are ${known}`,
      );
    }
    topics.add(text);
  }
  return succeed(topics);
}

/** Reads a place, `EPOCH:SEQ`; "" is none. Fails: request.invalid. */
export function parsePlace(text: string): Outcome<EventPlace | undefined> {
  if (text === "") return succeed(undefined);
  const [, epoch = "", seq = ""] = PLACE.exec(text) ?? [];
  if (epoch === "") return fail("request.invalid", "since: expected EPOCH:SEQ, as an event's id has it");
  return succeed({ epoch, seq: Number(seq) });
}
