import { isWithin, type Ledger } from "./ledger.js";
import type { Random } from "./random.js";
import type { Answer } from "./send-call.js";

/** One call of the mix, and what its answer says of the client's datasets. */
export interface PlannedCall {
  readonly method: string;
  readonly params: object;
  /** The dataset that it can't do without. */
  readonly needs?: string;
  /** Called once, with the answer. */
  note(answer: Answer): void;
}

/** Where a client works, and what it may use. */
export interface Player {
  /** Begins the names of all that is the client's: `f0`. */
  readonly prefix: string;
  readonly ledger: Ledger;
  readonly random: Random;
  /** The tag of the snapshot in the stream that the image service sends. */
  readonly imageTag: string;
}

const VOLUMES = 3;
const CLONES = 2;
const IMAGES = 2;
const GUESTS = 2;
const TAGS = 4;
const SIZE_MIB = 8;

const isSnapshot = (name: string) => name.includes("@");
const numbered = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${name}${index}`);

/** Notes that `names` were made by a call, each for itself. */
function noteMade(ledger: Ledger, names: readonly string[]): PlannedCall["note"] {
  return ({ kind }) => {
    if (kind === "refused") return;
    for (const name of names) ledger.put(name, kind === "done" ? "there" : "maybe");
  };
}

/** Notes that a call deleted all that `isLost` says. */
function noteLost(ledger: Ledger, isLost: (name: string) => boolean): PlannedCall["note"] {
  const lost = ledger.names(isLost);
  return ({ kind }) => {
    if (kind !== "refused") ledger.drop(lost, kind === "done" ? "gone" : "maybe");
  };
}

/** Notes that a volume was renamed, with its snapshots. */
function noteMoved(ledger: Ledger, id: string, dest: string): PlannedCall["note"] {
  const names = [id, ...ledger.tagsOf(id).map((tag) => `${id}@${tag}`)];
  return ({ kind }) => {
    if (kind === "refused") return;
    const sure = new Set(names.filter((name) => name === id || ledger.knows(name) === "there"));
    ledger.drop(names, kind === "done" ? "gone" : "maybe");
    for (const name of names)
      ledger.put(`${dest}${name.slice(id.length)}`, kind === "done" && sure.has(name) ? "there" : "maybe");
  };
}

function volumeCalls({ prefix, ledger, random }: Player): (() => PlannedCall)[] {
  const volumes = numbered(`${prefix}/v`, VOLUMES);
  const clones = numbered(`${prefix}/c`, CLONES);
  const anyVolume = () => random.pick([...volumes, ...clones]);
  const create = (): PlannedCall => {
    const id = random.pick(volumes);
    return { method: "CreateVolume", params: { id, size: SIZE_MIB }, note: noteMade(ledger, [id]) };
  };
  return [
    create,
    create,
    () => {
      const id = random.chance(0.15) ? prefix : anyVolume();
      const note = noteLost(ledger, (name) => isWithin(name, id));
      const needs = id === prefix ? {} : { needs: id };
      return { method: "DeleteDataset", params: { id }, ...needs, note };
    },
    () => {
      const id = `images/${prefix}-i${random.below(IMAGES)}`;
      const target = random.pick(clones);
      const params = { id: id.slice("images/".length), dest: target };
      return { method: "CloneImage", params, needs: id, note: noteMade(ledger, [target]) };
    },
    () => {
      const id = random.pick(volumes);
      const dest = random.pick(volumes.filter((name) => name !== id));
      return { method: "RenameVolume", params: { id, dest }, needs: id, note: noteMoved(ledger, id, dest) };
    },
  ];
}

function snapshotCalls({ prefix, ledger, random }: Player): (() => PlannedCall)[] {
  const volumes = () =>
    ledger.names((name) => isWithin(name, prefix) && name !== prefix && !isSnapshot(name));
  const volume = () => (volumes().length > 0 ? random.pick(volumes()) : `${prefix}/v0`);
  const tag = () => `s${random.below(TAGS)}`;
  const create = (): PlannedCall => {
    const id = volume();
    const dest = tag();
    const note = noteMade(ledger, [`${id}@${dest}`]);
    return { method: "CreateSnapshot", params: { id, dest }, needs: id, note };
  };
  return [
    create,
    create,
    () => {
      const dest = tag();
      const sure = volumes().filter((name) => ledger.knows(name) === "there");
      const made = [prefix, ...sure].map((name) => `${name}@${dest}`);
      const unsure = volumes().filter((name) => ledger.knows(name) === "maybe");
      // After an earlier call without a clear answer, some may be there already.
      const isFresh = made.every((name) => !ledger.has(name));
      const note = noteMade(ledger, made);
      return {
        method: "CreateSnapshot",
        params: { id: prefix, dest, recursive: true },
        note: (answer) => {
          note(answer);
          if (answer.kind === "refused") return;
          for (const name of unsure) ledger.put(`${name}@${dest}`, "maybe");
          if (answer.kind === "unknown" && isFresh) ledger.tie(made);
        },
      };
    },
    () => {
      const id = `${volume()}@${tag()}`;
      const note = noteLost(ledger, (name) => name === id);
      return { method: "DeleteSnapshot", params: { id }, needs: id, note };
    },
    () => {
      const dest = tag();
      const note = noteLost(ledger, (name) => isWithin(name, prefix) && name.endsWith(`@${dest}`));
      return { method: "DeleteSnapshot", params: { id: `${prefix}@${dest}`, recursive: true }, note };
    },
    () => {
      const id = volume();
      const tags = ledger.tagsOf(id);
      const dest = tags.length > 0 ? random.pick(tags) : tag();
      const newer = tags.slice(tags.indexOf(dest) + 1).map((each) => `${id}@${each}`);
      const destroyMoreRecent = random.chance(0.5);
      const note = noteLost(ledger, (name) => destroyMoreRecent && newer.includes(name));
      const needs = `${id}@${dest}`;
      return { method: "RollbackSnapshot", params: { id: needs, destroyMoreRecent }, needs, note };
    },
  ];
}

function imageCalls({ prefix, ledger, random, imageTag }: Player): (() => PlannedCall)[] {
  const anyImage = () => `${prefix}-i${random.below(IMAGES)}`;
  const request = (): PlannedCall => {
    const id = anyImage();
    const made = [`images/${id}`, `images/${id}@${imageTag}`];
    const isFresh = made.every((name) => !ledger.has(name));
    const note = noteMade(ledger, made);
    return {
      method: "RequestImage",
      params: { id, type: "kvm" },
      note: (answer) => {
        note(answer);
        if (answer.kind === "unknown" && isFresh) ledger.tie(made);
      },
    };
  };
  return [
    request,
    request,
    () => {
      const id = anyImage();
      const note = noteLost(ledger, (name) => isWithin(name, `images/${id}`));
      return { method: "DeleteImage", params: { id }, needs: `images/${id}`, note };
    },
  ];
}

function guestCalls({ prefix, ledger, random }: Player): (() => PlannedCall)[] {
  const anyGuest = () => `${prefix}-g${random.below(GUESTS)}`;
  return [
    () => {
      const id = anyGuest();
      const images = ledger.names((name) => name.startsWith("images/") && !isSnapshot(name));
      // The number of disks depends on the guest: a repeated call asks for the same.
      const count = id.endsWith("0") ? 3 : 2;
      const image = images.length > 0 && id.endsWith("1") ? random.pick(images).slice("images/".length) : "";
      const disks = numbered("", count).map((_, index) =>
        index === 0 && image !== "" ? { image } : { size: SIZE_MIB },
      );
      const made = [`guests/${id}`, ...disks.map((_, index) => `guests/${id}/disk-${index}`)];
      return { method: "CreateGuestDisks", params: { guest: { id, disks } }, note: noteMade(ledger, made) };
    },
    () => {
      const id = anyGuest();
      const note = noteLost(ledger, (name) => isWithin(name, `guests/${id}`));
      return { method: "DeleteGuestsDisks", params: { guest: { id } }, note };
    },
  ];
}

/** What is at the top of a recursive snapshot beside all clients, and how its tags begin. */
export const TOPS = { pool: "ra", guests: "rg", images: "ri" } as const;

/** The name that a ledger has for the snapshot of a top: that of the pool itself has no dataset. */
function topSnapshot(top: keyof typeof TOPS, tag: string): string {
  return `${top === "pool" ? "" : top}@${tag}`;
}

/** Recursive snapshots of everything, and their deletion. The ledger has those of the tops only. */
export function topCalls(pool: string, ledger: Ledger, random: Random): PlannedCall {
  const top = random.pick(["pool", "guests", "images"] as const);
  const tag = `${TOPS[top]}${random.below(2)}`;
  const id = top === "pool" ? pool : top;
  const name = topSnapshot(top, tag);
  if (ledger.has(name)) {
    const note = noteLost(ledger, (each) => each === name);
    return { method: "DeleteSnapshot", params: { id: `${id}@${tag}`, recursive: true }, needs: name, note };
  }
  return {
    method: "CreateSnapshot",
    params: { id, dest: tag, recursive: true },
    note: noteMade(ledger, [name]),
  };
}

/** All calls of a client that change the pool, each as a function that plans the next one of its kind. */
export function plannedCalls(player: Player): (() => PlannedCall)[] {
  return [...volumeCalls(player), ...snapshotCalls(player), ...imageCalls(player), ...guestCalls(player)];
}
