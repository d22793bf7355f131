import { failed, succeed } from "../../storage/failures.js";
import type { PulledVolume, ReceiveRecord } from "../../storage/records.js";
import { quote } from "../json-text.js";
import { boolean, string, struct } from "../params.js";
import { type Method, method } from "./method.js";
import { onNameExplained } from "./routing.js";
import { ownVolume } from "./volume-verbs.js";
import { encodeOneVolume } from "./volumes.js";

const fields = { id: string, pool: string };

function encodeReceived({ volume, snapshot, guid, received, wasFull, destroyed = [] }: PulledVolume): string {
  const lost = destroyed.map(quote).join(",");
  const of = `{"snapshot":${quote(snapshot)},"guid":${quote(guid)},"bytes":${received},"full":${wasFull},"destroyed":[${lost}]}`;
  return `${encodeOneVolume(volume).slice(0, -1)},"received":${of}}`;
}

/** Every driver keeps what has come of a stream that breaks. */
function encodeReceive({ name, state, token, bytes }: ReceiveRecord): string {
  const shown = token === undefined ? "null" : quote(token);
  return `{"receives":[{"id":${quote(name)},"state":${quote(state)},"token":${shown},"bytes":${bytes ?? null},"resumable":true}]}`;
}

/**
 * How a stream that a client sends is asked for. It is no method that a request can name: its stream is not in
 * its params. What the stream says, and where it is, has to be put into the planned operation.
 */
export const receiveMethod: Method = method({
  struct: "ReceiveRequest",
  request: struct({ ...fields, force: boolean }),
  operation: "ReceiveVolume",
  role: "operate",
  plan: ({ force, ...request }, pools) =>
    onNameExplained(pools, request, (resolved) => {
      const target = ownVolume(resolved.pool, resolved);
      if (!target.ok) return target;
      const stream = { toGuid: "0", isResumed: false };
      return succeed({ op: "ReceiveVolume", target: target.value, stream, body: 0, force });
    }),
  encode: encodeReceived,
});

/** How it is asked for what has come of such a stream. No request can name it either. */
export const receiveStateMethod: Method = method({
  struct: "VolumeRequest",
  request: struct(fields),
  operation: "GetReceive",
  role: "read",
  plan: (request, pools) =>
    onNameExplained(pools, request, ({ dataset, snapshot }) =>
      snapshot === undefined ? succeed({ op: "GetReceive", name: dataset }) : failed.notVolume,
    ),
  encode: encodeReceive,
});
