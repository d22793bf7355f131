import { fail, failed, type Outcome, succeed, tellAbout } from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import type { OperationHandlers, SendTicket } from "../../../protocol/storage/operations.js";
import type { SendFrom, SendTerms } from "../../../protocol/storage/send-terms.js";
import type { KnownSnapshot, SendBase } from "../../drivers/driver.js";
import type { ActorContext } from "./context.js";
import type { Holds } from "./holds.js";

type SendOperations = Pick<OperationHandlers, "OpenSend" | "CloseSend">;

function aboutFrom(code: "dataset.not_found" | "request.invalid", from: SendFrom, what: string) {
  return tellAbout(fail(code, `from: ${from} ${what}`), { object: from, field: "from" });
}

/** What a stream is made of. */
interface SendParts {
  readonly to: KnownSnapshot;
  /** Undefined: the stream is full. */
  readonly base: SendBase | undefined;
}

/** What SendTicket says of it. The base may be named anew while a send can still be joined: its guid can't. */
function kindOf(terms: SendTerms, base: SendBase | undefined): string | null {
  // An intermediate snapshot may be destroyed between two sends, and is not in the second one then.
  if (terms.intermediates) return null;
  return JSON.stringify([base?.guid]);
}

export function sendOperations({ zfs, locks }: ActorContext, holds: Holds): SendOperations {
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
    const found = await zfs.find(name);
    if (!found.ok) return found;
    if (found.value === undefined) return failed.notFound;
    // Only snapshots of volumes have a size.
    if (zfs.driver === "embedded" && found.value.volsize === 0n) {
      return fail("dataset.wrong_type", `can't send ${name}: the embedded driver sends volumes only`);
    }
    const base = await findBase(name, terms);
    return base.ok ? succeed({ to: { name, guid: found.value.guid }, base: base.value }) : base;
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
        const estimatedBytes = wantsEstimate ? await zfs.estimateSend(name, terms) : undefined;
        // Nothing comes after the holds that could fail: main releases them, by its ticket.
        const command = zfs.sendCommand(name, terms);
        const tag = await holds.acquire(to);
        if (!tag.ok) return tag;
        const ticket: SendTicket = { name, tag: tag.value, command, estimatedBytes };
        if (!terms) return succeed(ticket);
        const beside = await holds.acquireBeside(ticket, base?.needs ?? []);
        return beside.ok
          ? succeed({ ...ticket, baseHolds: beside.value, kind: kindOf(terms, base) })
          : beside;
      }),

    CloseSend: ({ name, tag }) => holds.release(name, tag),
  };
}
