import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import { datasetOf, isSnapshotName, type SnapshotName } from "../../../protocol/storage/names.js";
import type { OperationHandlers, SendTicket } from "../../../protocol/storage/operations.js";
import type { SendFrom, SendTerms } from "../../../protocol/storage/send-terms.js";
import type { KnownSnapshot, ResumeToken, SendBase } from "../../drivers/transfers-of-driver.js";
import type { ActorContext } from "./context.js";
import type { Holds } from "./holds.js";
import { emptyTrash } from "./image-trash.js";
import { getNextPlan, getSendPlan } from "./send-plan.js";

type SendOperations = Pick<OperationHandlers, "OpenSend" | "DescribeSend" | "CloseSend" | "GetSendPlan">;

function aboutFrom(code: "dataset.not_found" | "request.invalid", from: SendFrom, what: string) {
  return tellAbout(fail(code, `from: ${from} ${what}`), { object: from, field: "from" });
}

/** What a stream is made of. */
interface SendParts {
  readonly to: KnownSnapshot;
  /** Undefined: the stream is full. */
  readonly base: SendBase | undefined;
  readonly token: ResumeToken | undefined;
}

/** What SendTicket says of it. The base may be named anew while a send can still be joined: its guid can't. */
function kindOf(terms: SendTerms, base: SendBase | undefined): string | null {
  // An intermediate snapshot may be destroyed between two sends, and is not in the second one then.
  if (terms.intermediates) return null;
  return JSON.stringify([base?.guid, terms.flags, terms.resume]);
}

function aboutToken(code: "access.denied" | "dataset.not_found" | "request.invalid", what: string) {
  return tellAbout(fail(code, `resume: ${what}`), { field: "resume" });
}

/** Whether a token is of the stream that the request names. What else it names is not told of. */
function checkToken(
  token: ResumeToken,
  to: KnownSnapshot,
  base: SendBase | undefined,
): FailedOutcome | undefined {
  if (token.toName !== to.name) return aboutToken("access.denied", `the token is not of ${to.name}`);
  if (token.toGuid !== to.guid) {
    return aboutToken("dataset.not_found", `the snapshot ${to.name} that the token was for is gone`);
  }
  if (token.fromGuid === undefined && base) {
    return aboutToken("request.invalid", "the token is of a full stream, so from must be left out");
  }
  if (token.fromGuid !== undefined && !base) {
    return aboutToken("request.invalid", "the token is of an increment, so from must name its base");
  }
  if (token.fromGuid !== base?.guid) return aboutToken("access.denied", "the token's base is not from");
  if (!token.sends.ok) return token.sends;
  // zfs looks for the guid elsewhere in the pool too, as in a received copy.
  if (token.sends.value.name === to.name) return undefined;
  return aboutToken("dataset.not_found", `${to.name} can't be sent for this token any more`);
}

export function sendOperations(context: ActorContext, holds: Holds): SendOperations {
  const { zfs, locks } = context;

  async function findBase(name: SnapshotName, terms: SendTerms): Promise<Outcome<SendBase | undefined>> {
    const { from } = terms;
    if (from === undefined) return succeed(undefined);
    const base = await zfs.findBase(name, { ...terms, from });
    if (!base.ok) return base;
    if (base.value === undefined) return aboutFrom("dataset.not_found", from, "is not found");
    return base.value.isOlder ? base : aboutFrom("request.invalid", from, `is not older than ${name}`);
  }

  /** Fails: dataset.not_found, dataset.wrong_type, and as findBase does. */
  async function findParts(name: SnapshotName, terms: SendTerms = {}): Promise<Outcome<SendParts>> {
    const [found, base] = await Promise.all([zfs.find(name), findBase(name, terms)]);
    if (!found.ok) return found;
    if (found.value === undefined) return failed.notFound;
    // Only snapshots of volumes have a size.
    if (zfs.driver === "embedded" && found.value.volsize === 0n) {
      return fail("dataset.wrong_type", `can't send ${name}: the embedded driver sends volumes only`);
    }
    if (!base.ok) return base;
    const to = { name, guid: found.value.guid };
    if (terms.resume === undefined) return succeed({ to, base: base.value, token: undefined });
    const token = await zfs.readResumeToken(terms.resume);
    if (!token.ok) return token;
    return checkToken(token.value, to, base.value) ?? succeed({ to, base: base.value, token: token.value });
  }

  function estimate({ to, token }: SendParts, terms?: SendTerms): Promise<number | undefined> {
    if (!token) return zfs.estimateSend(to.name, terms);
    return Promise.resolve(token.sends.ok ? token.sends.value.estimatedBytes : undefined);
  }

  return {
    // The lock is only for the holds: one that came between the look for holds and the destroy of
    // many datasets would stop that half-way.
    OpenSend: ({ name, terms, isDirect = false, wantsEstimate = false }) =>
      locks.with([{ name: datasetOf(name), mode: "part" }], async (): Promise<Outcome<SendTicket>> => {
        const parts = await findParts(name, terms);
        if (!parts.ok) return parts;
        const { to, base } = parts.value;
        const checked = isDirect ? await zfs.checkSend(name, terms) : succeed(null);
        if (!checked.ok) return checked;
        const estimatedBytes = wantsEstimate ? await estimate(parts.value, terms) : undefined;
        // Nothing comes after the holds that could fail: main releases them, by its ticket.
        const command = zfs.sendCommand(name, terms);
        const held = await holds.acquire(to, terms && base?.needs);
        if (!held.ok) return held;
        const [{ tag } = { tag: "" }, ...baseHolds] = held.value;
        const ticket: SendTicket = { name, tag, command, estimatedBytes };
        return succeed(terms ? { ...ticket, baseHolds, kind: kindOf(terms, base) } : ticket);
      }),

    async DescribeSend({ name, terms }) {
      const parts = await findParts(name, terms);
      if (!parts.ok) return parts;
      const { to, base, token } = parts.value;
      const features = await zfs.sendFeatures(name, terms, token);
      if (!features.ok) return features;
      const estimatedBytes = await estimate(parts.value, terms);
      return succeed({ toGuid: to.guid, fromGuid: base?.guid, estimatedBytes, features: features.value });
    },

    GetSendPlan: ({ name, have, next }) =>
      next && !isSnapshotName(name) ? getNextPlan(zfs, name, have) : getSendPlan(zfs, name, have),

    CloseSend: async ({ name, tag }) => {
      const released = await holds.release(name, tag);
      await emptyTrash(context);
      return released;
    },
  };
}
