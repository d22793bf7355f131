import { useState } from "preact/hooks";
import type { Outcome } from "../api/client.ts";
import type { MigrationPlan } from "../api/records.ts";
import { splitName } from "../model/names.ts";
import { bytesText } from "../model/sizes.ts";
import { useStore } from "../model/store.ts";
import { Check, Choice } from "../parts/choice.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Field } from "../parts/field.tsx";
import { type Preview, PreviewDialog } from "./preview-dialog.tsx";

export function CopyVolumeDialog({ volume }: { readonly volume: string }) {
  const { actions } = useStore();
  const [dest, setDest] = useState("");
  const name = dest.trim();
  const { pool } = splitName(volume);

  function copy(): Promise<boolean> {
    const words = { busy: `Copying ${volume} to ${name}`, done: `${name} is a copy of ${volume}` };
    return actions.changeAsJob("CopyVolume", { pool, id: volume, dest: name }, words);
  }

  return (
    <Dialog title="Copy" action="Copy it" isBlocked={name === ""} onAction={copy}>
      <p>
        A new volume with the content of <span class="dataset">{volume}</span>. It shares nothing with it, and
        takes the room of all its data.
      </p>
      <Field label="Name of the copy" value={dest} onInput={setDest} placeholder="guests/db/copy" isFirst />
    </Dialog>
  );
}

/** The ways of a volume from another daemon to this one. */
const WAYS = {
  PullVolume: {
    text: "Copy",
    action: "Pull it",
    done: "is as new as its source",
    told: "The first time all of it comes, later what has changed. The copy is read-only.",
  },
  MigrateVolume: {
    text: "Migrate",
    action: "Bring it here",
    done: "is here, but for what is written from now on",
    told: "What is written meanwhile comes too, until little is left. The guest goes on. Then stop it, and finish.",
  },
  FinishMigration: {
    text: "Finish migration",
    action: "Fence it there and finish",
    done: "is here, and fenced where it was",
    told: "The guest must stand still. Its disk is fenced at the other daemon, the rest comes, and the disk here becomes writable.",
  },
} as const;
type Way = keyof typeof WAYS;
const NAMES: readonly Way[] = ["PullVolume", "MigrateVolume", "FinishMigration"];

/** What a step of a migration would do, here and at the peer. */
function linesOf({ peer, source, base, estimatedBytes, snapshot, fences, drops }: MigrationPlan): string[] {
  const about = estimatedBytes === null ? "nobody can tell how much" : `about ${bytesText(estimatedBytes)}`;
  return [
    fences ? `Fence ${source} at ${peer}` : `${source} at ${peer} is fenced already`,
    snapshot === null ? "Take no other snapshot: that of the fence comes" : `Take the snapshot ${snapshot}`,
    base === null ? `Receive all of it, ${about}` : `Receive what is newer than ${base.id}, ${about}`,
    "Make the volume here writable",
    ...drops.map((each) => `Destroy ${each} at ${peer}`),
  ];
}

/** Brings a volume of a peer here: a new one, or what `volume` lacks. What that destroys is shown first. */
export function PullDialog({ volume = "" }: { readonly volume?: string }) {
  const { actions, session, pool } = useStore();
  const { peers } = session.configured();
  const [way, setWay] = useState<Way>("PullVolume");
  const [peer, setPeer] = useState(peers[0] ?? "");
  const [source, setSource] = useState(splitName(volume).inPool);
  const [id, setId] = useState(splitName(volume).inPool);
  const [force, setForce] = useState(false);
  const { action, told } = WAYS[way];
  const isForced = force && way === "PullVolume";
  const isLast = way === "FinishMigration";
  const named = { pool: pool.value, id: id.trim(), peer, source: source.trim() };
  const params = isForced ? { ...named, force } : named;

  function pull(): Promise<boolean> {
    const words = {
      busy: `${WAYS[way].text}: ${named.source} of ${peer} to ${named.id}`,
      done: `${named.id} ${WAYS[way].done}`,
    };
    return actions.changeAsJob(way, params, words);
  }

  async function preview(): Promise<Outcome<Preview>> {
    const answer = await session.client.call(way, { ...params, dryRun: true });
    if (!answer.ok) return answer;
    const { destroys = [], ...told } = answer.value;
    const does = "plan" in told && told.plan && { does: linesOf(told.plan) };
    return { ok: true, value: { ...does, goes: destroys.map((each) => each.id) } };
  }

  return (
    <PreviewDialog
      title="From a peer"
      params={{ way, ...params }}
      action={action}
      noun="snapshots"
      isBlocked={named.id === "" || named.source === ""}
      isNeeded={isForced || isLast}
      isDangerous={isLast}
      ask={isLast ? "Show what it would do" : "Show what would go"}
      mayBeEmpty
      preview={preview}
      act={pull}
    >
      <WayChoice way={way} onChange={setWay} />
      <p>{told}</p>
      <Choice label="Peer" value={peer} values={peers} onChange={setPeer} />
      <Field
        label="Its volume"
        value={source}
        onInput={setSource}
        placeholder="guests/db/disk-0"
        hint={way === "PullVolume" ? "Or one of its snapshots, VOLUME@SNAPSHOT." : ""}
        isFirst
      />
      <Field label="Name here" value={id} onInput={setId} placeholder="guests/db/disk-0" />
      {way === "PullVolume" && (
        <Check
          label="Destroy what the copy has and its source has not"
          isChecked={force}
          onChange={setForce}
        />
      )}
    </PreviewDialog>
  );
}

interface WayChoiceProps {
  readonly way: Way;
  onChange(way: Way): void;
}

function WayChoice({ way, onChange }: WayChoiceProps) {
  return (
    <fieldset class="choices">
      <legend class="sr-only">What is done</legend>
      {NAMES.map((each) => (
        <label key={each}>
          <input type="radio" name="way" checked={way === each} onChange={() => onChange(each)} />
          <span>{WAYS[each].text}</span>
        </label>
      ))}
    </fieldset>
  );
}
