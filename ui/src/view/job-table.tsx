import type { JobRecord } from "../api/records.ts";
import { isRunning } from "../model/jobs.ts";
import { bytesText, durationText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { Chip, type Tone } from "../parts/chip.tsx";
import { TableBox } from "../parts/table-box.tsx";

const TONES: Readonly<Record<JobRecord["state"], Tone>> = {
  queued: "plain",
  running: "info",
  done: "good",
  failed: "bad",
  cancelled: "warn",
  interrupted: "warn",
};

export function JobTable({ jobs }: { readonly jobs: readonly JobRecord[] }) {
  return (
    <TableBox label="Jobs">
      <table>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">State</th>
            <th scope="col">Progress</th>
            <th scope="col">Begun</th>
            <th scope="col">
              <span class="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <JobRow key={job.id} job={job} />
          ))}
        </tbody>
      </table>
    </TableBox>
  );
}

function JobRow({ job }: { readonly job: JobRecord }) {
  const { session, actions, jobs } = useStore();
  const name = `${job.method} ${job.dataset ?? job.pool ?? ""}`.trim();
  const cancel = () =>
    void actions.change(
      "CancelJob",
      { id: job.id },
      { busy: `Cancelling ${name}`, done: `Cancelled ${name}` },
    );
  return (
    <tr>
      <th scope="row">
        {job.method} <span class="dataset">{job.dataset ?? job.pool}</span>
      </th>
      <td>
        <Chip tone={TONES[job.state]}>{job.phase && isRunning(job) ? job.phase : job.state}</Chip>
      </td>
      <td>
        {isRunning(job) ? (
          <JobProgress job={job} name={name} />
        ) : (
          (job.failure?.message ?? bytesOrNothing(job))
        )}
      </td>
      <td>
        <time dateTime={job.createdAt}>{new Date(job.createdAt).toLocaleTimeString()}</time>
      </td>
      <td class="actions">
        {isRunning(job) && jobs.isManaged.value && session.can("operate") && (
          <Button icon="close" label={`Cancel ${name}`} onClick={cancel} />
        )}
      </td>
    </tr>
  );
}

function bytesOrNothing({ bytes }: JobRecord): string {
  return bytes > 0 ? bytesText(bytes) : "";
}

function JobProgress({ job, name }: { readonly job: JobRecord; readonly name: string }) {
  const { bytes, totalBytes, bytesPerSecond, etaSeconds } = job;
  const parts = [
    totalBytes === null ? bytesOrNothing(job) : `${bytesText(bytes)} of ${bytesText(totalBytes)}`,
    bytesPerSecond === null ? "" : `${bytesText(bytesPerSecond)}/s`,
    etaSeconds === null ? "" : `${durationText(etaSeconds * 1000)} left`,
  ];
  return (
    <div class="progress">
      <progress
        aria-label={`Progress of ${name}`}
        {...(totalBytes === null ? {} : { value: bytes, max: Math.max(1, totalBytes) })}
      />
      <span>{parts.filter((part) => part !== "").join(", ")}</span>
    </div>
  );
}
