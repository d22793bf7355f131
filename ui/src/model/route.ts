import { computed, type ReadonlySignal, signal } from "@preact/signals";

export const VIEWS = ["overview", "volumes", "images", "guests", "replication", "backups", "jobs"] as const;
export type View = (typeof VIEWS)[number];

/** What is shown: `#/volumes/tank%2Fguests%2Fg1%2Fdisk-0`. */
export interface Route {
  readonly view: View;
  /** The id of what is selected in the view; "" if nothing is. */
  readonly selected: string;
}

export interface Router {
  readonly route: ReadonlySignal<Route>;
  go(view: View, selected?: string): void;
}

/** The part of the address that leads to a view. */
export function hrefOf(view: View, selected = ""): string {
  return selected === "" ? `#/${view}` : `#/${view}/${encodeURIComponent(selected)}`;
}

function parse(hash: string): Route {
  const [, view = "", selected = ""] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(hash) ?? [];
  return {
    view: VIEWS.find((each) => each === view) ?? "overview",
    selected: decodeURIComponent(selected),
  };
}

/** Follows the address, so that back, forward, reload and bookmarks work. */
export function createRouter(): Router {
  const hash = signal(location.hash);
  addEventListener("hashchange", () => {
    hash.value = location.hash;
  });
  return {
    route: computed(() => parse(hash.value)),
    go: (view, selected) => {
      location.hash = hrefOf(view, selected);
    },
  };
}
