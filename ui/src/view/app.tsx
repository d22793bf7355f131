import { useEffect, useState } from "preact/hooks";
import type { Session } from "../model/session.ts";
import { openStore, type Store, StoreProvider } from "../model/store.ts";
import { Console } from "./console.tsx";
import { Away, SignIn } from "./sign-in.tsx";

/** What is shown depends on where the page stands with the daemon. */
export function App({ session }: { readonly session: Session }) {
  const { value } = session.state;
  switch (value.kind) {
    case "asking":
      return <Away why="Asking the daemon…" />;
    case "away":
      return <Away why={value.why} />;
    case "signed-out":
      return <SignIn session={session} why={value.why} />;
    case "in":
      return <SignedIn session={session} />;
  }
}

/** The store lives as long as the caller is signed in. */
function SignedIn({ session }: { readonly session: Session }) {
  const [store, setStore] = useState<Store | undefined>(undefined);
  useEffect(() => {
    const opened = openStore(session);
    setStore(opened);
    return opened.stop;
  }, [session]);
  if (!store) return null;
  return (
    <StoreProvider value={store}>
      <Console />
    </StoreProvider>
  );
}
