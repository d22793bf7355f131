import { expect, test } from "vitest";
import { ANYONE, type Caller } from "../../../../src/main/access/caller.js";
import { type ChannelOptions, createRpcChannels } from "../../../../src/main/rpc/rpc-channels.js";
import type { Channel } from "../../../../src/protocol/http/channel.js";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import { rpcOptions } from "../../../support/rpc-options.js";
import { turn } from "../../../support/until.js";

/** A channel with a daemon behind it, whose client takes what was sent when the test says so. */
function open(options: Partial<ChannelOptions> = {}, caller: Caller = ANYONE) {
  const sent: string[] = [];
  const closes: number[] = [];
  const bugs: unknown[] = [];
  const told: string[] = [];
  const state = { waitingBytes: 0, revoked: 0 };
  const channel: Channel = {
    peer: "10.0.0.9",
    requestId: "r",
    get waitingBytes() {
      return state.waitingBytes;
    },
    send: (text) => sent.push(Buffer.from(text).toString()),
    together: (work) => work(),
    close: (code) => closes.push(code),
  };
  const channels = createRpcChannels({
    ...rpcOptions,
    bodyBytesInFlight: 10_000,
    replyBytes: 100_000,
    replyBytesInFlight: 100_000,
    report: ({ method, requestId, client }) => told.push(`${method} ${requestId} ${client.peer}`),
    onBug: (error) => bugs.push(error),
    openExtras: () => ({
      own: () => undefined,
      onReply: () => {},
      onRevoked: () => state.revoked++,
      onDrain: () => {},
      onClose: () => {},
    }),
    ...options,
  });
  const listener = channels.accept(caller, "").open(channel);
  const ask = (method: string, id: number | undefined = undefined, more = "") =>
    listener.onText(`{"jsonrpc":"2.0","method":"${method}"${id === undefined ? "" : `,"id":${id}`}${more}}`);
  return {
    listener,
    ask,
    sent,
    closes,
    bugs,
    told,
    state,
    replies: () => sent.map((text) => JSON.parse(text)),
  };
}

test("each message is answered as 2.0 has it, and is a request of its own in the log", async () => {
  const { ask, listener, replies, told } = open();
  ask("ListImages", 1);
  ask("ListImages");
  listener.onText(
    '[{"jsonrpc":"2.0","method":"ListVolumes","id":2},{"jsonrpc":"2.0","method":"None","id":3}]',
  );
  listener.onText('{"method":"ListVolumes","params":[{}],"id":4}');
  listener.onText("{");
  await turn();
  expect(replies()).toEqual([
    { jsonrpc: "2.0", result: { images: null }, id: 1 },
    expect.objectContaining({ id: 4, error: expect.objectContaining({ code: -32600 }) }),
    expect.objectContaining({ id: null, error: expect.objectContaining({ code: -32700 }) }),
    [expect.objectContaining({ id: 2 }), expect.objectContaining({ id: 3 })],
  ]);
  expect(told).toEqual(["ListImages r.1 10.0.0.9", "ListImages r.2 10.0.0.9", "ListVolumes r.3 10.0.0.9"]);
});

test("a client that takes no replies is closed, and one that takes them may go on for ever", () => {
  const { ask, closes, state, listener, sent } = open();
  for (let id = 0; id < 2_000; id++) ask("ListImages", id);
  state.waitingBytes = 1;
  for (let id = 0; id < 1_000; id++) ask("ListImages", id);
  state.waitingBytes = 0;
  listener.onDrain();
  state.waitingBytes = 1;
  for (let id = 0; id < 1_000; id++) ask("ListImages", id);
  expect([closes, sent.length]).toEqual([[], 4_000]);
  ask("ListImages", 0);
  expect([closes, sent.length]).toEqual([[1008], 4_000]);
});

test("long messages that are not answered yet have limits.bodyBytesInFlight, and give it back", async () => {
  let answer = () => {};
  const run = () =>
    new Promise<ReturnType<typeof succeed>>((resolve) => {
      answer = () => resolve(succeed([]));
    });
  const { ask, replies, listener } = open({ run });
  const long = `,"more":"${"x".repeat(8_000)}"`;
  ask("ListVolumes", 1, long);
  ask("ListVolumes", 2, long);
  expect(replies()).toEqual([
    {
      jsonrpc: "2.0",
      id: null,
      error: expect.objectContaining({ data: expect.objectContaining({ reason: "service.overloaded" }) }),
    },
  ]);
  answer();
  await turn();
  ask("ListVolumes", 3, long);
  answer();
  await turn();
  expect(replies().map(({ id }) => id)).toEqual([null, 1, 3]);
  ask("ListVolumes", 4, long);
  listener.onClose();
  ask("ListVolumes", 5, long);
  answer();
  await turn();
  expect(replies().map(({ id }) => id)).toEqual([null, 1, 3, 5]);
});

test("a bug is told to the client of that message alone", async () => {
  const bug = new Error("a bug");
  const { ask, replies, bugs } = open({
    report: () => {
      throw bug;
    },
  });
  ask("ListImages", 1);
  ask("None", 2);
  await turn();
  expect(bugs).toEqual([bug]);
  expect(replies().map(({ error }) => error.code)).toEqual([-32603, -32601]);
});

test("nothing more is done for a caller whose token is revoked", () => {
  const { ask, state, sent } = open({}, { ...ANYONE, isCurrent: () => false });
  ask("ListImages", 1);
  expect([state.revoked, sent]).toEqual([1, []]);
});
