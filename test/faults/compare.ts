import type { Client } from "./client.js";
import { isWithin } from "./ledger.js";
import { TOPS } from "./mix.js";
import type { PoolView } from "./pool-under-test.js";
import { sendCall } from "./send-call.js";

interface CompareOptions {
  readonly view: PoolView;
  readonly url: string;
  readonly clients: readonly Client[];
  readonly top: Client;
  readonly limitMs: number;
  readonly imageTag: string;
}

const SIZE_BYTES = 8 * 1024 * 1024;

/** Snapshots of a recursive deletion that was acknowledged, and that are there all the same. */
function topLeftovers(view: PoolView, top: Client): string[] {
  const found: string[] = [];
  for (const name of view.datasets.keys()) {
    const [dataset = "", tag = ""] = name.split("@");
    for (const [of, prefix] of Object.entries(TOPS)) {
      if (!tag.startsWith(prefix)) continue;
      const root = of === "pool" ? "" : of;
      if (top.ledger.has(`${root}@${tag}`)) continue;
      if (root === "" || isWithin(dataset, root))
        found.push(`back: ${name}, whose recursive deletion was acknowledged`);
    }
  }
  return found;
}

/** What the daemon says of its images must be what the pool has. */
async function compareImages({ view, url, limitMs, imageTag }: CompareOptions): Promise<string[]> {
  const answer = await sendCall(url, "ListImages", {}, limitMs);
  if (answer.kind !== "done") return [`untrue: ListImages: ${JSON.stringify(answer)}`];
  const images = (answer.result.images ?? []) as readonly { id: string; status: string; snapshot?: string }[];
  const listed = new Set(images.map(({ id }) => id));
  const inPool = [...view.datasets.keys()].filter((name) => /^images\/[^@/.][^@/]*@/.test(name));
  const whole = new Set(inPool.map((name) => name.slice("images/".length).split("@")[0] ?? ""));
  const found: string[] = [];
  for (const { id, status, snapshot = "" } of images) {
    if (status !== "complete") found.push(`untrue: image ${id} is ${status} at rest`);
    if (!whole.has(id)) found.push(`untrue: image ${id} is listed and has no snapshot`);
    else if (!snapshot.endsWith(`@${imageTag}`))
      found.push(`untrue: image ${id} is recorded with ${snapshot}`);
  }
  for (const id of whole)
    if (!listed.has(id)) found.push(`untrue: image ${id} is in the pool and not listed`);
  return found;
}

/** Whether the daemon's own lists say the same as the pool. */
async function compareLists({ view, url, limitMs }: CompareOptions): Promise<string[]> {
  const found: string[] = [];
  for (const [method, type] of [
    ["ListVolumes", "volume"],
    ["ListSnapshots", "snapshot"],
  ] as const) {
    const answer = await sendCall(url, method, {}, limitMs);
    if (answer.kind !== "done") {
      found.push(`untrue: ${method}: ${JSON.stringify(answer)}`);
      continue;
    }
    const rows = Object.values(answer.result)[0] as readonly { id: string }[];
    const told = new Set(rows.map(({ id }) => id.replace(/^[^/@]+\/?/, "")));
    const there = [...view.datasets].filter(([, dataset]) => dataset.type === type).map(([name]) => name);
    for (const name of there) if (!told.delete(name)) found.push(`untrue: ${method} lacks ${name}`);
    for (const name of told) found.push(`untrue: ${method} has ${name}`);
  }
  return found;
}

/** Compares the pool at rest with what every client knows, and then takes it for known. @returns a line each. */
export async function comparePool(options: CompareOptions): Promise<string[]> {
  const { view, clients, top } = options;
  const found = [
    ...topLeftovers(view, top),
    ...(await compareImages(options)),
    ...(await compareLists(options)),
  ];
  for (const client of [...clients, top]) {
    const counts = (name: string, type: string) => type !== "filesystem" || name.startsWith("guests/");
    const mine = new Map(
      [...view.datasets].filter(([name, { type }]) => counts(name, type) && client.isMine(name)),
    );
    for (const { kind, name } of client.ledger.settle(mine, (name) => mine.has(name)))
      found.push(`${kind}: ${name}`);
    for (const [name, { type, sizeBytes }] of mine) {
      if (type === "volume" && sizeBytes !== SIZE_BYTES) found.push(`untrue: ${name} has ${sizeBytes} bytes`);
    }
  }
  return found;
}
