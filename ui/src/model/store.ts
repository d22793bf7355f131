import { computed, effect, type ReadonlySignal, type Signal, signal, untracked } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { type Actions, createActions } from "./actions.ts";
import { type Catalog, createCatalog } from "./catalog.ts";
import { createDownloads, type Downloads } from "./downloads.ts";
import { type Jobs, watchJobs } from "./jobs.ts";
import { followEvents, type Live } from "./live.ts";
import { splitName } from "./names.ts";
import { type NodeState, watchNode } from "./node-state.ts";
import { createNotes, type Notes } from "./notes.ts";
import { startPolling } from "./polling.ts";
import { createRouter, type Router } from "./route.ts";
import type { Session } from "./session.ts";

/** Everything that the views show and do, for as long as a caller is signed in. */
export interface Store {
  readonly session: Session;
  readonly router: Router;
  readonly notes: Notes;
  readonly node: NodeState;
  readonly jobs: Jobs;
  readonly live: Live;
  readonly catalog: Catalog;
  readonly actions: Actions;
  readonly downloads: Downloads;
  /** The name of the pool that is shown; "" until the pools are known. */
  readonly pool: ReadonlySignal<string>;
  choosePool(name: string): void;
  /** The dialog that is open. */
  readonly dialog: Signal<ComponentChildren>;
  stop(): void;
}

/** A list of more volumes is not asked for again by itself. */
const MOST_POLLED = 2_000;
const POLL_LISTS_MS = 15_000;

export function openStore(session: Session): Store {
  const { client } = session;
  const router = createRouter();
  const notes = createNotes();
  const node = watchNode(client);
  const jobs = watchJobs(client);
  const chosen = signal("");
  const pool = computed(() => {
    const names = node.pools.value.map(({ name }) => name);
    // An address that names a volume names its pool too.
    const named = splitName(router.route.value.selected).pool;
    return [named, chosen.value].find((name) => names.includes(name)) ?? names[0] ?? "";
  });
  const catalog = createCatalog(client, pool);
  const live = followEvents({
    client,
    onEvent: (event) => {
      if (event.job) jobs.put(event.job);
      catalog.apply(event);
    },
    onGap: () => {
      catalog.reload();
      jobs.refresh();
    },
  });
  const lists = startPolling(
    async () => {
      if (live.state.value === "live" || pool.value === "") return;
      if (catalog.volumes.state.value.rows.length <= MOST_POLLED) catalog.reload();
    },
    () => POLL_LISTS_MS,
  );
  const actions = createActions({
    client,
    notes,
    jobs,
    onChanged: () => {
      node.polling.poke();
      if (live.state.value !== "live") catalog.reload();
    },
  });
  const stopShowing = effect(() => {
    const { view, selected } = router.route.value;
    if (selected !== "") chosen.value = splitName(selected).pool;
    untracked(() => catalog.showSnapshots(view === "volumes" || view === "guests" ? selected : ""));
  });

  return {
    session,
    router,
    notes,
    node,
    jobs,
    live,
    catalog,
    actions,
    downloads: createDownloads(session, notes),
    pool,
    choosePool: (name) => {
      chosen.value = name;
      const { view, selected } = router.route.value;
      if (selected !== "") router.go(view);
    },
    dialog: signal(undefined),
    stop: () => {
      stopShowing();
      lists.stop();
      live.stop();
      jobs.stop();
      node.polling.stop();
    },
  };
}

const StoreContext = createContext<Store | undefined>(undefined);
export const StoreProvider = StoreContext.Provider;

/** The store of the views below. */
export function useStore(): Store {
  const store = useContext(StoreContext);
  if (!store) throw new Error("no store above");
  return store;
}
