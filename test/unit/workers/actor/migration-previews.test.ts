import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createMemoryActor, createMemoryRecords, POOL } from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";

const target = `${POOL}/vm/disk` as DatasetName;
const STEPS = ["MigrateVolume", "FinishMigration"] as const;
type Step = (typeof STEPS)[number];
type Reply = object | ((reply: ServerResponse) => void);

const NEXT = { id: "far/disk", guid: "", isThere: false, base: { id: "far/disk@migrate-2", guid: "20" } };
/** What a peer answers whose volume is not fenced. */
const ANSWERS: Readonly<Record<string, Reply>> = {
  GetVolumeProperties: { volumes: [{ id: "far/disk", properties: { tags: { owner: "ada" } } }] },
  GetSendPlan: { plans: [{ ...NEXT, bytes: 512 }] },
  ListSnapshots: { snapshots: ["s", "migrate-1", "migrate-2"].map((tag) => ({ id: `far/disk@${tag}` })) },
};

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A peer that notes what it is asked. */
async function startPeer(answers: Readonly<Record<string, Reply>>) {
  const asked: string[] = [];
  const server = createServer(async (request, reply) => {
    let text = "";
    for await (const piece of request) text += piece;
    const { method } = JSON.parse(text) as { method: string };
    asked.push(method);
    const answer = answers[method] ?? {};
    if (typeof answer === "function") return answer(reply);
    reply.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result: answer }));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** A copy with these snapshots, each the guid of one, the oldest first; none: no copy. */
async function preview(
  step: Step,
  copy: Readonly<Record<string, string>>,
  { answers = {}, force = false }: { answers?: Readonly<Record<string, Reply>>; force?: boolean } = {},
) {
  const { url, asked } = await startPeer({ ...ANSWERS, ...answers });
  const zfs = createMemoryZfs(POOL, bytes(2n ** 40n));
  for (const name of ["images", "guests", "vm"]) zfs.put(`${POOL}/${name}`);
  const tags = Object.entries(copy);
  if (tags.length > 0) zfs.put(target, { type: "volume", volsize: bytes(1_048_576) });
  for (const [tag, guid] of tags) zfs.put(`${target}@${tag}`, { guid });
  if (tags.length > 0) await zfs.setProperties(target, { readonly: true });
  const fetch = () => Promise.reject(new Error("nothing is fetched"));
  const actor = createMemoryActor(zfs, createMemoryRecords(), fetch, undefined, undefined, { far: { url } });
  const outcome = await actor.handlers.DryRun({
    of: { op: step, target, peer: "far", source: "disk", force },
  });
  for (const tag of Object.keys(copy)) expect(zfs.has(`${target}@${tag}`)).toBe(true);
  return { outcome, asked };
}

test.each(STEPS)("%s of what is not here yet would receive all, and changes nothing", async (step) => {
  const plans = [{ ...NEXT, base: null, bytes: null }];
  const { outcome, asked } = await preview(step, {}, { answers: { GetSendPlan: { plans } } });
  expect(outcome).toMatchObject({
    ok: true,
    value: {
      answer: {
        ...{ volume: { name: target }, guid: "", received: 0, wasFull: true },
        plan: { peer: "far", source: "far/disk", fences: step === "FinishMigration" },
      },
      destroys: [],
    },
  });
  const plan = outcome.ok && "plan" in outcome.value.answer ? outcome.value.answer.plan : undefined;
  expect(plan).toMatchObject({ base: undefined, estimatedBytes: undefined });
  expect(plan?.snapshot).toMatch(/^far\/disk@migrate-\w+$/);
  expect(plan?.drops).toEqual(step === "MigrateVolume" ? ["far/disk@migrate-1", "far/disk@migrate-2"] : []);
  expect(asked).toEqual([
    "GetVolumeProperties",
    "GetSendPlan",
    ...(step === "MigrateVolume" ? ["ListSnapshots"] : []),
  ]);
});

test.each(STEPS)("%s would drop what earlier rounds left here, and nothing else", async (step) => {
  const { outcome } = await preview(step, { s: "5", "migrate-1": "10", "migrate-2": "20" });
  expect(outcome).toMatchObject({
    value: {
      answer: { plan: { base: NEXT.base, estimatedBytes: 512 }, wasFull: false },
      destroys: [{ name: `${target}@migrate-2` }, { name: `${target}@migrate-1` }],
    },
  });
});

test.each(STEPS)(
  "%s of a copy that has snapshots of its own needs force, and names them once",
  async (step) => {
    const copy = { "migrate-2": "20", own: "30", "migrate-3": "40" };
    const refused = await preview(step, copy);
    expect(refused.outcome).toMatchObject({ failure: { code: "dataset.diverged" } });
    const { outcome } = await preview(step, copy, { force: true });
    const names = outcome.ok ? outcome.value.destroys.map(({ name }) => name).sort() : [];
    expect(names).toEqual(["migrate-2", "migrate-3", "own"].map((tag) => `${target}@${tag}`));
  },
);

test("a source that is fenced can be finished and not migrated", async () => {
  const tags = { "imagestore.fence": "rw last" };
  const answers = { GetVolumeProperties: { volumes: [{ id: "far/disk", properties: { tags } }] } };
  const refused = await preview("MigrateVolume", {}, { answers });
  expect(refused.outcome).toMatchObject({ failure: { code: "peer.refused" } });
  const { outcome } = await preview("FinishMigration", { "migrate-2": "20" }, { answers });
  expect(outcome).toMatchObject({ value: { answer: { plan: { fences: false, snapshot: undefined } } } });
});

test.each<[code: string, what: string, answers: Readonly<Record<string, Reply>>]>([
  ["peer.refused", "has no plan", { GetSendPlan: { plans: [] } }],
  ["peer.refused", "has a plan that is none", { GetSendPlan: { plans: [7] } }],
  ["peer.refused", "answers no JSON", { GetSendPlan: (reply) => reply.end("<html>") }],
  ["peer.unreachable", "breaks the connection", { GetSendPlan: (reply) => reply.destroy() }],
  [
    "peer.unreachable",
    "breaks it at the first question",
    { GetVolumeProperties: (reply) => reply.destroy() },
  ],
])("a failure is %s where the peer %s", async (code, _, answers) => {
  for (const step of STEPS) {
    const { outcome } = await preview(step, { "migrate-2": "20" }, { answers });
    expect([step, outcome]).toMatchObject([step, { ok: false, failure: { code } }]);
  }
});
