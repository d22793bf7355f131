import { type ReadonlySignal, signal } from "@preact/signals";
import { type Client, createClient } from "../api/client.ts";
import { type CallerRecord, ROLES, type Role } from "../api/records.ts";

/** Where the page stands with the daemon. */
export type SessionState =
  | { readonly kind: "asking" }
  /** A token is needed. `why`: what was wrong with the last one. */
  | { readonly kind: "signed-out"; readonly why: string }
  /** The daemon does not serve now. It is asked again. */
  | { readonly kind: "away"; readonly why: string }
  | { readonly kind: "in"; readonly who: CallerRecord };

export interface Session {
  readonly state: ReadonlySignal<SessionState>;
  readonly client: Client;
  /** Whether a token is in use: the browser sends none by itself. */
  hasToken(): boolean;
  signIn(token: string): Promise<void>;
  signOut(): void;
  /** Whether the caller has a role. What it may do is decided by the daemon: this hides what would be refused. */
  can(role: Role): boolean;
  /** The names of the configuration that some methods need; none before the caller is known. */
  configured(): Pick<CallerRecord, "peers" | "backups">;
  /** Asks who the caller is; again each `AGAIN_MS` while the daemon does not serve. */
  ask(): Promise<void>;
}

const AGAIN_MS = 2_000;
const NOTHING = { peers: [], backups: [] };
/** In sessionStorage: a token lives as long as its tab. */
const KEY = "imagestore.token";

export function createSession(): Session {
  let token = sessionStorage.getItem(KEY) ?? "";
  const state = signal<SessionState>({ kind: "asking" });

  function forget(why: string): void {
    token = "";
    sessionStorage.removeItem(KEY);
    state.value = { kind: "signed-out", why };
  }

  const client = createClient({
    token: () => token,
    // Without a token there was nothing wrong with one.
    onUnauthorized: (why) => forget(token === "" ? "" : why),
  });

  async function ask(): Promise<void> {
    const answer = await client.get("/whoami");
    if (answer.ok) {
      const who: CallerRecord = await answer.value.json();
      state.value = { kind: "in", who };
      return;
    }
    const { reason, message } = answer.failure;
    if (reason === "http.401") return;
    state.value = { kind: "away", why: message };
    setTimeout(() => void ask(), AGAIN_MS);
  }

  return {
    state,
    client,
    hasToken: () => token !== "",
    signIn: async (given) => {
      token = given.trim();
      sessionStorage.setItem(KEY, token);
      await ask();
    },
    signOut: () => forget(""),
    can: (role) => {
      const { value } = state;
      return value.kind === "in" && ROLES.indexOf(value.who.role) >= ROLES.indexOf(role);
    },
    configured: () => (state.value.kind === "in" ? state.value.who : NOTHING),
    ask,
  };
}
