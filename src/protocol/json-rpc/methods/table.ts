import { auditMethods } from "./audit.js";
import { backupMethods } from "./backups.js";
import { bookmarkMethods } from "./bookmarks.js";
import { guestMethods } from "./guests.js";
import { imageMethods } from "./images.js";
import { jobMethods } from "./jobs.js";
import type { Method } from "./method.js";
import { poolMethods } from "./pools.js";
import { snapshotMethods } from "./snapshots.js";
import { transferMethods } from "./volume-pulls.js";
import { volumeVerbs } from "./volume-verbs.js";
import { volumeMethods } from "./volumes.js";

const SERVICE = "ImageStore.";

/** A method, or what the client got wrong: the form of the name, the service, or the method. */
export type MethodLookup =
  | { readonly found: Method }
  | { readonly missing: "ill-formed" | "service" | "method" };

/** All methods of the service. */
export interface MethodTable {
  readonly all: readonly Method[];
  /** Without aliases. */
  readonly names: readonly string[];
  /**
   * Finds the method `ImageStore.X`, or just `X`, which the original does not know. By Go's rule,
   * any other name without exactly one dot is ill-formed.
   */
  find(name: string): MethodLookup;
}

/** `disksPerGuest`: as in the configuration's limits. */
export function createMethodTable({ disksPerGuest } = { disksPerGuest: 64 }): MethodTable {
  const methods = [
    ...imageMethods(),
    ...volumeMethods,
    ...volumeVerbs,
    ...snapshotMethods,
    ...bookmarkMethods,
    ...transferMethods,
    ...backupMethods,
    ...guestMethods(disksPerGuest),
    ...poolMethods,
    ...jobMethods,
    ...auditMethods,
  ];
  const byName = new Map<string, MethodLookup>(
    methods.flatMap((found) =>
      [found.name, ...found.aliases].flatMap((name) => [
        [name, { found }],
        [`${SERVICE}${name}`, { found }],
      ]),
    ),
  );
  return {
    all: methods,
    names: methods.map(({ name }) => name),
    find: (name) => {
      const known = byName.get(name);
      if (known) return known;
      if (name.split(".").length !== 2) return { missing: "ill-formed" };
      return { missing: name.startsWith(SERVICE) ? "method" : "service" };
    },
  };
}
