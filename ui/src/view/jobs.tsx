import { bytesText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { JobTable } from "./job-table.tsx";

const SHOWN = 200;

/** What runs and what ran, and what has just changed. */
export function JobsView() {
  const { jobs, live, downloads } = useStore();
  return (
    <>
      {downloads.running.value.length > 0 && <OwnDownloads />}
      <section aria-labelledby="jobs-title">
        <h2 id="jobs-title">Jobs</h2>
        {jobs.list.value.length > 0 ? (
          <JobTable jobs={jobs.list.value.slice(0, SHOWN)} />
        ) : (
          <p class="empty">
            {jobs.isThere.value === false
              ? "This daemon keeps no jobs."
              : "Nothing runs, and nothing ran lately."}
          </p>
        )}
      </section>
      <section aria-labelledby="events-title">
        <h2 id="events-title">Changes</h2>
        {live.recent.value.length > 0 ? (
          <ol class="events">
            {live.recent.value.map((event) => (
              <li key={`${event.epoch}:${event.seq}`}>
                <time dateTime={event.at}>{new Date(event.at).toLocaleTimeString()}</time>
                <span class={`event-action ${event.action}`}>
                  {event.topic} {event.action}
                </span>
                <span class="dataset">{event.id}</span>
                <span class="hint">
                  {event.origin === "outside" ? "by another program" : (event.caller ?? "")}
                </span>
              </li>
            ))}
          </ol>
        ) : (
          <p class="empty">
            {live.state.value === "polling"
              ? "This daemon tells of no changes. The lists are asked for each 15 s."
              : "No change since this page was opened."}
          </p>
        )}
      </section>
    </>
  );
}

/** Downloads that this page writes to files. */
function OwnDownloads() {
  const { downloads } = useStore();
  return (
    <section aria-labelledby="own-title">
      <h2 id="own-title">Downloads of this page</h2>
      <ul class="plain-list">
        {downloads.running.value.map(({ snapshot, bytes, end }) => (
          <li key={snapshot}>
            <span class="dataset">{snapshot}</span> {bytesText(bytes)}
            <Button icon="close" label={`End the download of ${snapshot}`} onClick={end} />
          </li>
        ))}
      </ul>
    </section>
  );
}
