import { useState } from "preact/hooks";
import type { Session } from "../model/session.ts";
import { Button } from "../parts/button.tsx";
import { Field } from "../parts/field.tsx";
import { Brand } from "./brand.tsx";

/** Asks for the token that the daemon wants. */
export function SignIn({ session, why }: { readonly session: Session; readonly why: string }) {
  const [token, setToken] = useState("");
  const [isBusy, setBusy] = useState(false);

  async function signIn(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    await session.signIn(token);
    setBusy(false);
  }

  return (
    <main class="gate">
      <form class="card" onSubmit={(event) => void signIn(event)}>
        <Brand />
        <h1>Sign in</h1>
        <p class="hint">
          This daemon serves nobody without a token. <code>imagestore token create</code> makes one.
        </p>
        <Field
          label="Token"
          type="password"
          value={token}
          onInput={setToken}
          problem={why}
          hint="It is kept until this tab is closed."
          isFirst
        />
        <Button type="submit" kind="main" disabled={isBusy || token.trim() === ""}>
          Sign in
        </Button>
      </form>
    </main>
  );
}

/** The daemon does not serve now. */
export function Away({ why }: { readonly why: string }) {
  return (
    <main class="gate">
      <div class="card" role="status">
        <Brand />
        <h1>Waiting for the daemon</h1>
        <p>{why}</p>
      </div>
    </main>
  );
}
