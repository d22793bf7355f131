import type { Random } from "../faults/random.js";

/** What the reply to a body must look like. */
export type Awaited =
  /** Any reply that is well-formed. */
  | { readonly kind: "any" }
  /** A reply of 1.0 that ends with this id, as written; undefined: a notification. */
  | { readonly kind: "1.0"; readonly id: string | undefined }
  | { readonly kind: "2.0"; readonly id: string | undefined }
  /** The ids of all requests of a batch that have one. */
  | { readonly kind: "batch"; readonly ids: readonly string[] };

export interface Body {
  readonly text: string;
  readonly awaited: Awaited;
}

/** Begins each name that must be refused, so that it can be looked for in the arguments of commands. */
export const REFUSED_MARK = "fuzzbad";
/** A volume and its snapshot that no request of the grammar changes. */
export const KEPT = "kept";

const METHODS = [
  "ListImages",
  "GetImage",
  "RequestImage",
  "DeleteImage",
  "CloneImage",
  "ListVolumes",
  "CreateVolume",
  "GetVolume",
  "DeleteDataset",
  "ResizeVolume",
  "RenameVolume",
  "PromoteVolume",
  "CloneSnapshot",
  "SetVolume",
  "GetVolumeProperties",
  "ListSnapshots",
  "ListSnapshot",
  "GetSnapshot",
  "CreateSnapshot",
  "SnapshotGuest",
  "DeleteSnapshot",
  "RollbackSnapshot",
  "CreateBookmark",
  "ListBookmarks",
  "DeleteBookmark",
  "VerifyDisks",
  "CreateGuestDisks",
  "DeleteGuestsDisks",
  "DeleteGuestDisks",
  "GetPool",
] as const;

const REFUSED_ENDS = [
  "/..",
  "/../x",
  "@a@b",
  "\\u0000",
  "\\n",
  "%",
  ";id",
  "$(id)",
  "ü",
  "#",
  "\\t",
  "*",
  "|",
];

/** A name, as JSON text without its quotes, that the grammar of names refuses. */
export function refusedName(random: Random): string {
  if (random.chance(0.1)) return `${REFUSED_MARK}${"x".repeat(250 + random.below(100))}`;
  if (random.chance(0.1)) return `${REFUSED_MARK}${"/y".repeat(130 + random.below(20))}`;
  return `${REFUSED_MARK}${random.below(1000)}${random.pick(REFUSED_ENDS)}`;
}

function name(random: Random): string {
  if (random.chance(0.15)) return refusedName(random);
  const volume = `v${random.below(8)}`;
  return random.pick([
    volume,
    volume,
    `d/${volume}`,
    `${volume}@s${random.below(3)}`,
    `${volume}#s${random.below(3)}`,
    `${volume}@s${random.below(3)}`,
    `tank/${volume}`,
    `guests/g${random.below(4)}`,
    `/${volume}//`,
    "",
    "images",
    "guests",
    "tank",
    "nope/x",
    "images/.partial-x",
  ]);
}

const text = (value: string) => `"${value}"`;

const SIZES = [
  "1",
  "8",
  "16",
  "64",
  "0",
  "-1",
  "1.5",
  '"8"',
  "1e3",
  "null",
  "9007199254740993",
  "18446744073709551615",
  "18446744073709551616",
];
const WRONG = ["null", "7", "true", '"x"', "[]", "{}", "[[]]", '{"id":{}}', "-0", "1e400", '"\\ud800"'];

function guest(random: Random): string {
  const disks = Array.from({ length: random.below(4) }, () =>
    random.pick([
      `{"size":${random.pick(SIZES)}}`,
      `{"image":${text(name(random))}}`,
      `{"size":8,"image":"","bus":"sata"}`,
      "{}",
    ]),
  );
  return `{"id":${text(random.chance(0.8) ? `g${random.below(4)}` : name(random))},"disks":[${disks}],"memory":${random.pick(SIZES)},"metadata":{"<k>":"&"}}`;
}

/** The members of a request's object, each of which may also be of a wrong type. */
function fields(random: Random): string {
  const members: [string, () => string][] = [
    ["id", () => text(name(random))],
    ["size", () => random.pick(SIZES)],
    ["dest", () => text(random.pick(["s0", "s1", "s2", "v9", "tank/v9", "a b", "-o", name(random)]))],
    ["recursive", () => random.pick(["true", "false", '"yes"'])],
    ["destroyMoreRecent", () => random.pick(["true", "false"])],
    ["readonly", () => random.pick(["true", "false"])],
    ["provisioning", () => text(random.pick(["thick", "thin", "fat"]))],
    ["tags", () => random.pick(['{"a":"b"}', '{"a":""}', '{"A":"b"}', "{}", '{"a":1}'])],
    ["tag", () => text(random.pick(["a", "a=b", "=", ""]))],
    ["allowDataLoss", () => random.pick(["true", "false", "1"])],
    ["type", () => text("kvm")],
    ["source", () => text(random.pick(["http://127.0.0.1:1/x", "file:///etc/passwd", ""]))],
    ["pool", () => text(random.pick(["tank", "tank", "nope", ""]))],
    ["guest", () => guest(random)],
    ["limit", () => random.pick(SIZES)],
    ["after", () => text(name(random))],
    ["__proto__", () => '{"id":"x"}'],
  ];
  const chosen = members.filter(([key]) => random.chance(key === "id" ? 0.9 : 0.35));
  const written = chosen.map(([key, value]) => {
    const cased = random.chance(0.05) ? key.toUpperCase() : key;
    return `${gap(random)}"${cased}":${gap(random)}${random.chance(0.04) ? random.pick(WRONG) : value()}`;
  });
  return `{${written.join(",")}}`;
}

function gap(random: Random): string {
  return random.chance(0.05) ? random.pick([" ", "\t", "\n", "\r\n", "    "]) : "";
}

/** An id as text that comes back as it is. */
function idOf(random: Random, isVersion2: boolean): string {
  // Of 2.0 an id is a number or a string.
  const others = isVersion2 ? [] : ["true", '[1,"a"]', '{"a":[]}'];
  return random.pick([
    ...others,
    String(random.below(1000)),
    "9223372036854775807",
    "-1.50e-07",
    "18446744073709551616",
    `"id-${random.below(1000)}"`,
    '"\\u0041\\n"',
  ]);
}

function params(random: Random, isVersion2: boolean): string {
  if (random.chance(0.03)) return random.pick(WRONG);
  const object = fields(random);
  if (isVersion2 && random.chance(0.5)) return object;
  return random.chance(0.05) ? `[${object},7]` : `[${object}]`;
}

function methodName(random: Random): string {
  const method = random.chance(0.03) ? random.pick(["Nope", "", "a.b.c", "__proto__"]) : random.pick(METHODS);
  return random.chance(0.5) ? `ImageStore.${method}` : method;
}

/** The envelope's members, in any order. */
function envelope(random: Random, members: string[]): string {
  if (random.chance(0.3)) members.reverse();
  return `{${members.map((member) => `${gap(random)}${member}`).join(",")}}`;
}

function request10(random: Random): Body {
  const id = random.chance(0.93) ? idOf(random, false) : undefined;
  const members = [`"method":"${methodName(random)}"`, `"params":${params(random, false)}`];
  if (id !== undefined) members.push(`"id":${id}`);
  return { text: envelope(random, members), awaited: { kind: "1.0", id } };
}

function request20(random: Random, id: string | undefined): string {
  const members = ['"jsonrpc":"2.0"', `"method":"${methodName(random)}"`];
  if (random.chance(0.95)) members.push(`"params":${params(random, true)}`);
  if (id !== undefined) members.push(`"id":${id}`);
  return envelope(random, members);
}

function batch(random: Random): Body {
  const ids: string[] = [];
  const items = Array.from({ length: 1 + random.below(8) }, (_, index) => {
    const id = random.chance(0.85) ? String(index) : undefined;
    if (id !== undefined) ids.push(id);
    return request20(random, id);
  });
  return { text: `[${items.join(",")}]`, awaited: { kind: "batch", ids } };
}

/** A request of the grammar: of either version, or a batch. */
export function makeBody(random: Random): Body {
  if (random.chance(0.5)) return request10(random);
  if (random.chance(0.3)) return batch(random);
  const id = random.chance(0.93) ? idOf(random, true) : undefined;
  return { text: request20(random, id), awaited: { kind: "2.0", id } };
}

/** A request that must be refused because of a name in it, before anything is started. */
export function makeRefused(random: Random): Body {
  const id = refusedName(random);
  const ofGuest = `{"guest":{"id":"${id}","disks":[{"size":8}]}}`;
  const [method, object] = random.pick([
    ["CreateVolume", `{"id":"${id}","size":8}`],
    ["GetVolume", `{"id":"${id}"}`],
    ["DeleteDataset", `{"id":"${id}"}`],
    ["ResizeVolume", `{"id":"${id}","size":8}`],
    ["RenameVolume", `{"id":"${id}","dest":"v9"}`],
    ["PromoteVolume", `{"id":"${id}"}`],
    ["SetVolume", `{"id":"${id}","readonly":false}`],
    ["GetVolumeProperties", `{"id":"${id}"}`],
    ["CloneSnapshot", `{"id":"v@${id}","dest":"v9"}`],
    ["CloneSnapshot", `{"id":"v@s0","dest":"${id}"}`],
    ["RenameVolume", `{"id":"v9","dest":"${id}"}`],
    ["ListSnapshots", `{"id":"${id}"}`],
    ["GetSnapshot", `{"id":"${id}@s"}`],
    ["GetSnapshot", `{"id":"v@${id}"}`],
    ["CreateSnapshot", `{"id":"${id}","dest":"s"}`],
    ["CreateSnapshot", `{"id":"v","dest":"${id}"}`],
    ["SnapshotGuest", `{"id":"${id}","dest":"s"}`],
    ["DeleteSnapshot", `{"id":"${id}@s"}`],
    ["RollbackSnapshot", `{"id":"v@${id}"}`],
    ["CreateBookmark", `{"id":"v@${id}","dest":"b"}`],
    ["ListBookmarks", `{"id":"${id}"}`],
    ["RequestImage", `{"id":"${id}"}`],
    ["DeleteImage", `{"id":"${id}"}`],
    ["CloneImage", `{"id":"${id}","dest":"v"}`],
    ["VerifyDisks", ofGuest],
    ["CreateGuestDisks", ofGuest],
    ["DeleteGuestsDisks", ofGuest],
  ] as const);
  const number = String(random.below(1e9));
  return {
    text: `{"method":"ImageStore.${method}","params":[${object}],"id":${number}}`,
    awaited: { kind: "1.0", id: number },
  };
}
