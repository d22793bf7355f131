import { useEffect } from "preact/hooks";
import { hrefOf, VIEWS, type View } from "../model/route.ts";
import { countText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Icon } from "../parts/icons.tsx";
import { NoteList } from "../parts/note-list.tsx";
import { BackupsView } from "./backups.tsx";
import { GuestsView } from "./guests.tsx";
import { ImagesView } from "./images.tsx";
import { JobsView } from "./jobs.tsx";
import { OverviewView } from "./overview.tsx";
import { ReplicationView } from "./replication.tsx";
import { TopBar } from "./top-bar.tsx";
import { VolumesView } from "./volumes.tsx";

const TITLES: Readonly<Record<View, string>> = {
  overview: "Overview",
  volumes: "Volumes",
  images: "Images",
  guests: "Guests",
  replication: "Replication",
  backups: "Backups",
  jobs: "Activity",
};

const CONTENTS: Readonly<Record<View, () => preact.JSX.Element | null>> = {
  overview: OverviewView,
  volumes: VolumesView,
  images: ImagesView,
  guests: GuestsView,
  replication: ReplicationView,
  backups: BackupsView,
  jobs: JobsView,
};

/** The whole page of a caller who is signed in. */
export function Console() {
  const { router, dialog } = useStore();
  const { view } = router.route.value;
  const Content = CONTENTS[view];

  useEffect(() => {
    document.title = `${TITLES[view]} – ${location.host} – imagestore`;
  }, [view]);

  return (
    <div class="console">
      <TopBar />
      <Navigation current={view} />
      <main tabIndex={-1} class={`view ${view}`}>
        <h1>{TITLES[view]}</h1>
        <Content />
      </main>
      <NoteList />
      {dialog.value}
    </div>
  );
}

/** The views, with how much there is in each. */
function Navigation({ current }: { readonly current: View }) {
  const { catalog, jobs } = useStore();
  const volumes = catalog.volumes.state.value;
  const counts: Partial<Record<View, number>> = {
    volumes: volumes.rows.length,
    images: catalog.images.state.value.rows.length,
    jobs: jobs.running.value.length,
  };
  return (
    <nav aria-label="Views">
      <ul>
        {VIEWS.map((view) => (
          <li key={view}>
            <a href={hrefOf(view)} aria-current={view === current ? "page" : undefined}>
              <Icon name={view} />
              <span class="nav-title">{TITLES[view]}</span>
              {counts[view] ? <span class="nav-count">{countText(counts[view])}</span> : null}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
