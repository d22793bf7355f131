import type { StoreOrder } from "../../protocol/backups/store-orders.js";
import { shownUrl } from "../../protocol/storage/image-hosts.js";
import type { FetchOrder } from "../../protocol/storage/operations.js";
import { transferKindOf } from "../downloads/transfer-kind.js";
import type { Diagnosis } from "./diagnosis.js";
import { ageText, alignRows, rateText, section, sizeText } from "./text-layout.js";

type FetchState = Diagnosis["fetches"][number];
type Moving = Pick<Diagnosis, "at" | "downloads" | "fetches" | "stores" | "streaming" | "config">;

/** The sections of what moves bytes, a kind in each. */
export function transferSections(moving: Moving): string[] {
  return [
    section("Downloads", downloadLines(moving)),
    section("Image fetches", fetchLines(moving)),
    section("Copies, pulls and receives", otherLines(moving)),
    section("Backups", storeLines(moving)),
  ];
}

/** How long ago the last byte came. */
function lastByteText(at: number, lastByteAt: number): string {
  return lastByteAt === 0 ? "none came" : `${ageText(at - lastByteAt)} ago`;
}

function pidText({ said }: Diagnosis["streaming"], id: number): string {
  return said.ok ? String(said.value.pids.get(id) ?? "-") : "not known";
}

function downloadLines({ at, downloads, streaming, config }: Moving): string[] {
  if (downloads.length === 0) return [];
  const rows = downloads.map((each) => [
    each.snapshot,
    sizeText(each.bytes),
    rateText(each.bytes, at - each.startedAt),
    ageText(at - each.startedAt),
    lastByteText(at, each.lastByteAt),
    each.path,
    phaseText(each),
    sizeText(each.waitingBytes),
    pidText(streaming, each.sendId),
    each.peer,
    each.requestId,
  ]);
  return [
    `${downloads.length} of ${config.limits.downloads}; bytes are those that the client's socket has taken; of the path bulk, those that its process has written`,
    ...alignRows([
      ["snapshot", "bytes", "rate", "age", "last byte", "path", "state", "ready", "pid", "client", "request"],
      ...rows,
    ]),
  ];
}

function phaseText({ phase, isBlocked }: Diagnosis["downloads"][number]): string {
  if (phase === "ended") return "ended, its hold is being released";
  if (isBlocked) return `${phase}, waits for the client`;
  return phase === "waiting" || phase === "streaming" ? `${phase}, waits for the send` : phase;
}

const MOVED: readonly string[] = ["bytes", "rate", "age", "last byte", "stream", "pid"];

function movedCells(fetch: FetchState, { at, streaming }: Pick<Moving, "at" | "streaming">): string[] {
  const { id, startedAt, receivedBytes, streamBytes, lastByteAt } = fetch;
  return [
    sizeText(receivedBytes),
    rateText(receivedBytes, at - startedAt),
    ageText(at - startedAt),
    lastByteText(at, lastByteAt),
    sizeText(streamBytes),
    pidText(streaming, id),
  ];
}

function fetchLines(moving: Moving): string[] {
  const images = moving.fetches.filter(({ order }) => transferKindOf(order) === "image");
  if (images.length === 0) return [];
  const rows = images.map((each) => [
    each.order.target,
    ...movedCells(each, moving),
    shownUrl(each.order.url),
  ]);
  return [
    "bytes are those that came from the image service",
    ...alignRows([["target", ...MOVED, "source"], ...rows]),
  ];
}

/** A copy names its snapshot as a URL of the scheme zfs, and a receive has none. */
function sourceText(order: FetchOrder): string {
  const kind = transferKindOf(order);
  if (kind === "receive") return "a client";
  return kind === "copy" ? order.url.replace(/^zfs:\//, "") : shownUrl(order.url);
}

function otherLines(moving: Moving): string[] {
  const others = moving.fetches.filter(({ order }) => transferKindOf(order) !== "image");
  if (others.length === 0) return [];
  const rows = others.map((each) => [
    transferKindOf(each.order),
    each.order.target,
    ...movedCells(each, moving),
    sourceText(each.order),
  ]);
  return alignRows([["kind", "target", ...MOVED, "source"], ...rows]);
}

/** What an order for a store is about: backups by their ids, or a snapshot. */
function subjectOf(order: StoreOrder): string {
  const counted = (ids: readonly string[]) => (ids.length === 1 ? (ids[0] ?? "") : `${ids.length} backups`);
  switch (order.task) {
    case "upload":
    case "receive":
      return order.manifest.names.to;
    case "check":
      return counted(order.chains.map((chain) => chain.at(-1) ?? ""));
    case "read":
    case "remove":
      return counted(order.ids);
    case "list":
    case "clear":
      return order.folder === "" ? "all" : order.folder;
  }
}

function storeLines({ at, stores, streaming }: Moving): string[] {
  if (stores.length === 0) return [];
  const rows = stores.map(({ id, owner, order, startedAt, movedBytes }) => [
    order.task,
    order.profileName,
    owner === "" ? "-" : owner,
    sizeText(movedBytes),
    rateText(movedBytes, at - startedAt),
    ageText(at - startedAt),
    pidText(streaming, id),
    subjectOf(order),
  ]);
  return [
    "bytes are those that went to the store or came from it",
    ...alignRows([["order", "store", "pool", "bytes", "rate", "age", "pid", "about"], ...rows]),
  ];
}
