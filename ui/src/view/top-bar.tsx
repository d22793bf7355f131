import { useStore } from "../model/store.ts";
import { Button } from "../parts/button.tsx";
import { Chip, type Tone } from "../parts/chip.tsx";
import { Brand } from "./brand.tsx";

const LIVE_TEXT = {
  connecting: "connecting",
  live: "live",
  polling: "each 15 s",
} as const;

/** Which node this is, how it is, which pool is shown, and who looks at it. */
export function TopBar() {
  const store = useStore();
  const { node, live, session } = store;
  return (
    <header class="top-bar">
      <SkipLink />
      <Brand />
      <span class="host">{location.host}</span>
      <Health />
      <span class="live" title="How the page learns of changes">
        <span class={`dot ${node.problem.value ? "bad" : live.state.value}`} />
        {node.problem.value ? "no answer" : LIVE_TEXT[live.state.value]}
      </span>
      <span class="spacer" />
      <PoolChoice />
      <Who />
      {session.hasToken() && (
        <Button kind="quiet" icon="out" label="Sign out" onClick={() => session.signOut()} />
      )}
    </header>
  );
}

/** The first stop of the Tab key. It moves the focus, and not the address, which names the view. */
function SkipLink() {
  return (
    <a
      class="skip"
      href={location.hash}
      onClick={(event) => {
        event.preventDefault();
        document.querySelector("main")?.focus();
      }}
    >
      Skip to the content
    </a>
  );
}

function Health() {
  const { node } = useStore();
  const ready = node.readiness.value;
  const [tone, text]: [Tone, string] =
    node.problem.value !== ""
      ? ["bad", "away"]
      : ready === undefined
        ? ["plain", "…"]
        : ready.stopping
          ? ["warn", "stopping"]
          : ready.starting
            ? ["warn", "starting"]
            : ready.ready
              ? ["good", "ready"]
              : ["bad", "not ready"];
  return (
    <span role="status">
      <Chip tone={tone}>{text}</Chip>
    </span>
  );
}

function PoolChoice() {
  const { node, pool, choosePool } = useStore();
  if (node.pools.value.length < 2) return null;
  return (
    <label class="pool-choice">
      Pool
      <select value={pool.value} onChange={({ currentTarget }) => choosePool(currentTarget.value)}>
        {node.pools.value.map(({ name }) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Who() {
  const { session } = useStore();
  const { value } = session.state;
  if (value.kind !== "in") return null;
  const { role, names, caller } = value.who;
  const narrowed = names ? `, for ${names.join(" ")}` : "";
  return (
    <span class="who" title={caller ? `token ${caller}${narrowed}` : "This daemon asks for no token"}>
      {caller ? `${role}${names ? "*" : ""}` : "no token needed"}
    </span>
  );
}
