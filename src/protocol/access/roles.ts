/** What a caller may do, the least first; each includes those before it. */
export const ROLES = ["read", "operate", "admin"] as const;

/**
 * - `read`: look, and download snapshots.
 * - `operate`: what agents do for guests: request and clone images, make, change and delete volumes,
 *   snapshots and disks.
 * - `admin`: what concerns all guests of the node.
 */
export type Role = (typeof ROLES)[number];

export function includesRole(held: Role, needed: Role): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed);
}

/** What was granted to a caller: a role, and where it has it. */
export interface Grant {
  readonly role: Role;
  /** Pools. Undefined: all. */
  readonly pools?: readonly string[] | undefined;
  /** Patterns of datasets, without their pool: see `matchesName`. Undefined: all. */
  readonly names?: readonly string[] | undefined;
}

/** Whether a grant is for everything that its role allows. */
export function isNarrowed({ pools, names }: Grant): boolean {
  return pools !== undefined || names !== undefined;
}
