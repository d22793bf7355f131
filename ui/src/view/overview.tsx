import type { PoolRecord } from "../api/records.ts";
import { hrefOf } from "../model/route.ts";
import { bytesText, countText, durationText, mibText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Chip } from "../parts/chip.tsx";
import { Icon } from "../parts/icons.tsx";
import { LineChart } from "../parts/line-chart.tsx";
import { FillPicture } from "./fill-picture.tsx";
import { JobTable } from "./job-table.tsx";

/** How the node is: what needs a look, its pools, what runs, and the last minutes. */
export function OverviewView() {
  const { node, jobs } = useStore();
  return (
    <>
      <Attention />
      <section aria-labelledby="pools-title">
        <h2 id="pools-title">Pools</h2>
        <div class="pool-cards">
          {node.pools.value.map((pool) => (
            <PoolCard key={pool.name} pool={pool} />
          ))}
        </div>
      </section>
      {jobs.running.value.length > 0 && (
        <section aria-labelledby="running-title">
          <h2 id="running-title">Running</h2>
          <JobTable jobs={jobs.running.value} />
        </section>
      )}
      <Charts />
      <Version />
    </>
  );
}

/** What the administrator has to look at. Nothing is shown where there is nothing. */
function Attention() {
  const { node } = useStore();
  const { value: ready } = node.readiness;
  const items = [
    ...(node.problem.value ? [{ pool: "", text: node.problem.value }] : []),
    ...Object.entries(ready?.pools ?? {})
      .filter(([, state]) => state !== "ready")
      .map(([pool, state]) => ({ pool, text: `not ready: ${state}` })),
    ...Object.entries(ready?.notices ?? {}).flatMap(([pool, texts]) => texts.map((text) => ({ pool, text }))),
    ...Object.entries(ready?.late ?? {}).flatMap(([pool, works]) =>
      works.map(({ name, datasets = [], ms }) => ({
        pool,
        text: `${name} ${datasets.join(", ")} is late: it runs since ${durationText(ms)}`,
      })),
    ),
  ];
  if (items.length === 0) return null;
  return (
    <section class="attention" aria-labelledby="attention-title">
      <h2 id="attention-title">
        <Icon name="warning" /> Needs a look
      </h2>
      <ul>
        {items.map(({ pool, text }) => (
          <li key={`${pool} ${text}`}>
            {pool && <strong>{pool}</strong>} {text}
          </li>
        ))}
      </ul>
    </section>
  );
}

function PoolCard({ pool }: { readonly pool: PoolRecord }) {
  const { node } = useStore();
  const state = node.readiness.value?.pools[pool.name];
  const short = pool.promised - pool.available;
  const facts = [
    ["Allocated", mibText(pool.allocated)],
    ["Free", mibText(pool.free)],
    ["Promised", mibText(pool.promised)],
    ["For guests", mibText(pool.available)],
    ...(pool.fragmentation === null ? [] : [["Fragmentation", `${pool.fragmentation} %`]]),
  ];
  return (
    <article class="card pool-card" aria-label={`Pool ${pool.name}`}>
      <header>
        <h3>
          <a href={hrefOf("volumes")}>{pool.name}</a>
        </h3>
        <span class="hint">{pool.driver}</span>
        <span class="spacer" />
        {state !== undefined && state !== "ready" && <Chip tone="bad">not ready</Chip>}
        <Chip tone={pool.health === "ONLINE" ? "good" : pool.health === "DEGRADED" ? "warn" : "bad"}>
          {pool.health}
        </Chip>
      </header>
      <FillPicture pool={pool} />
      <dl class="facts">
        {facts.map(([name, text]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      {short > 0 && (
        <p class="problem">
          Thin volumes and clones may grow by {mibText(short)} more than there is room for guests.
        </p>
      )}
    </article>
  );
}

/** Samples are taken each 5 s: ten minutes. */
const ROOM = 120;

function Charts() {
  const { node } = useStore();
  const { value: points } = node.history;
  if (points === undefined) {
    return <p class="hint">Load and latency are for tokens of all pools and names.</p>;
  }
  const last = points.at(-1)?.sample;
  const whole = (value: number) => countText(Math.round(value));
  return (
    <section aria-labelledby="charts-title">
      <h2 id="charts-title">Last ten minutes</h2>
      <div class="charts">
        <LineChart
          title="Calls each second"
          room={ROOM}
          none="…"
          values={points.map(({ callsPerSecond }) => callsPerSecond)}
          text={(value) => (value < 10 ? value.toFixed(1) : whole(value))}
        />
        <LineChart
          title="Latency of 95 %"
          room={ROOM}
          none="no calls"
          values={points.map(({ p95Ms }) => p95Ms)}
          text={durationText}
        />
        <LineChart
          title="Failures each second"
          room={ROOM}
          none="…"
          values={points.map(({ failuresPerSecond }) => failuresPerSecond)}
          text={(value) => (value < 10 ? value.toFixed(1) : whole(value))}
        />
        <LineChart
          title="Downloads"
          room={ROOM}
          none="…"
          values={points.map(({ bytesPerSecond }) => bytesPerSecond)}
          text={(value) => `${bytesText(value)}/s`}
        />
      </div>
      {last && (
        <p class="hint">
          Under way: {whole(last.pending)} operations, {whole(last.downloads)} downloads,{" "}
          {whole(last.fetches)} image fetches. The daemon takes {bytesText(last.residentBytes)} of memory.
        </p>
      )}
    </section>
  );
}

function Version() {
  const { session } = useStore();
  const { value } = session.state;
  return value.kind === "in" ? <p class="hint version">imagestore {value.who.version}</p> : null;
}
