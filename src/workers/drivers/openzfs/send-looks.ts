import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import {
  isBookmarkName,
  type SendFlag,
  type SendFrom,
  type SendTerms,
} from "../../../protocol/storage/send-terms.js";
import { failureOf, onlyMissing } from "../../processes/command-failures.js";
import { type CommandEnd, succeeded } from "../../processes/run-command.js";
import type { SendBase } from "../transfers-of-driver.js";
import { numberOf, rowsOf } from "./list-rows.js";
import type { ZfsCommands } from "./zfs-commands.js";

type Commands = Pick<ZfsCommands, "zfs">;

const FLAG_OPTIONS: Readonly<Record<SendFlag, string>> = {
  compressed: "-c",
  largeBlock: "-L",
  embedData: "-e",
  raw: "-w",
};

/** The arguments of `zfs send` for a stream, from its options to its end. */
export function sendArguments(name: SnapshotName, terms: SendTerms = {}): readonly string[] {
  const { from, intermediates, flags = [], resume } = terms;
  if (resume !== undefined) return ["-t", resume];
  const base = from === undefined ? [] : [intermediates ? "-I" : "-i", from];
  return [...flags.map((flag) => FLAG_OPTIONS[flag]), ...base, name];
}

/**
 * Looks for both ends of an incremental stream. The snapshots between them need no hold of ours: `zfs send
 * -I` holds them itself.
 */
export async function findBase(
  { zfs }: Commands,
  name: SnapshotName,
  from: SendFrom,
): Promise<Outcome<SendBase | undefined>> {
  const end = await zfs(["get", "-Hp", "-o", "name,property,value", "guid,createtxg", name, from]);
  if (!succeeded(end) && !onlyMissing(end.stderr)) return failureOf(end);
  const rows = rowsOf(end);
  const readOf = (of: SendFrom, wanted: string) =>
    rows.find(([found, property]) => found === of && property === wanted)?.[2];
  const guid = readOf(from, "guid");
  if (guid === undefined) return succeed(undefined);
  const isOlder = numberOf(readOf(from, "createtxg")) < numberOf(readOf(name, "createtxg"));
  return succeed({ guid, isOlder, needs: isBookmarkName(from) ? [] : [{ name: from, guid }] });
}

const SIZE = /^size\t(\d{1,15})$/m;

/** The size in what `zfs send -nP` prints. Undefined: it is not there, or no size at all. */
export function estimateIn(text: string): number | undefined {
  const [, digits] = SIZE.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** What `zfs send -n` says of the size. Undefined: it does not say, or fails. */
export async function estimateByDryRun(
  { zfs }: Commands,
  name: SnapshotName,
  terms: SendTerms,
): Promise<number | undefined> {
  const end = await zfs(["send", "-nP", ...sendArguments(name, terms)]);
  return succeeded(end) ? estimateIn(end.stdout) : undefined;
}

/** The values in rows of a property and its value. */
function valuesOf(end: CommandEnd): ReadonlyMap<string, string> {
  return new Map(rowsOf(end).map(([property = "", value = ""]) => [property, value]));
}

const POOL_FEATURES = "feature@lz4_compress,feature@zstd_compress,feature@embedded_data";
/** Larger blocks are cut, unless the stream may have them whole. */
const SMALL_BLOCK_BYTES = 128n * 1024n;

/**
 * The features that `zfs send` states for a stream. It knows whether a dataset has any block of a kind,
 * which nothing tells: these are stated where it may have one. Source: setup_featureflags in
 * module/zfs/dmu_send.c.
 */
export async function featuresOf(
  { zfs, zpool }: Pick<ZfsCommands, "zfs" | "zpool">,
  pool: string,
  name: SnapshotName,
  flags: readonly SendFlag[],
  isResumed: boolean,
): Promise<Outcome<readonly string[]>> {
  const [ofDataset, ofPool] = await Promise.all([
    zfs(["get", "-Hp", "-o", "property,value", "volblocksize,recordsize,encryption", datasetOf(name)]),
    zpool(["get", "-Hp", "-o", "property,value", POOL_FEATURES, pool]),
  ]);
  if (!succeeded(ofDataset)) return failureOf(ofDataset);
  if (!succeeded(ofPool)) return failureOf(ofPool);
  const [own, shared] = [valuesOf(ofDataset), valuesOf(ofPool)];
  // -w means all of them where nothing is encrypted (zfs-send(8)).
  const has = (flag: SendFlag) => flags.includes(flag) || flags.includes("raw");
  const isActive = (feature: string) => shared.get(`feature@${feature}`) === "active";
  const isBig = ["volblocksize", "recordsize"].some((each) => numberOf(own.get(each)) > SMALL_BLOCK_BYTES);
  const isRaw = flags.includes("raw") && own.get("encryption") !== "off";
  const isPacked = has("compressed") || has("embedData");
  const stated: readonly (readonly [string, boolean])[] = [
    ["large_blocks", has("largeBlock") && isBig],
    ["embed_data", has("embedData") && isActive("embedded_data")],
    ["compressed", has("compressed")],
    ["raw", isRaw],
    ["lz4", isPacked && isActive("lz4_compress")],
    ["zstd", isPacked && isActive("zstd_compress")],
    ["resuming", isResumed],
  ];
  return succeed(stated.filter(([, is]) => is).map(([feature]) => feature));
}
