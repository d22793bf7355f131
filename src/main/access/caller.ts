import type { Grant } from "../../protocol/access/roles.js";

/** Who sent a request, as far as that is known. */
export interface Caller {
  /** The id of its token, or the subject of its certificate. Undefined where the daemon asks for none. */
  readonly id: string | undefined;
  readonly grant: Grant;
  /** Whether its token or certificate is still known and as it was, for connections that last. Undefined: it always is. */
  readonly isCurrent?: () => boolean;
}

/** Where no identities are configured, whoever reaches the daemon may do everything. */
export const ANYONE: Caller = { id: undefined, grant: { role: "admin" } };
