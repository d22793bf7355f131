import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Failure, Outcome } from "../api/client.ts";
import { countText } from "../model/sizes.ts";
import { Dialog } from "../parts/dialog.tsx";
import { NameList } from "../parts/name-list.tsx";

/** What a dry run tells. */
export interface Preview {
  /** What would be done, a line each. */
  readonly does?: readonly string[];
  /** The names of what would go. */
  readonly goes: readonly string[];
}

interface PreviewDialogProps {
  readonly title: string;
  /** What is asked of the daemon. With others, what was shown is out of date. */
  readonly params: object;
  /** What the button says that does it. */
  readonly action: string;
  /** What goes, in the plural. */
  readonly noun: string;
  readonly isBlocked?: boolean;
  /** Without it, it is done at once. */
  readonly isNeeded?: boolean;
  /** It is done also where nothing would go. */
  readonly mayBeEmpty?: boolean;
  /** It loses more than what goes. */
  readonly isDangerous?: boolean;
  /** What the button says that asks. */
  readonly ask?: string;
  /** Asks what would be done, and changes nothing. */
  preview(): Promise<Outcome<Preview>>;
  /** Does it. @returns whether the dialog may close. */
  act(): Promise<boolean> | boolean;
  readonly children: ComponentChildren;
}

const SHOWN = 50;

/** Asks the daemon for a dry run first, and does it once that was shown. */
export function PreviewDialog(props: PreviewDialogProps) {
  const { title, params, action, noun, isBlocked = false, isNeeded = true, mayBeEmpty = false } = props;
  const { isDangerous = false, ask = "Show what would go", preview, act, children } = props;
  const asked = JSON.stringify(params);
  const [seen, setSeen] = useState<{ asked: string; found: Outcome<Preview> } | undefined>();
  const found = seen?.asked === asked ? seen.found : undefined;
  const goes = found?.ok ? found.value.goes : [];
  const isSeen = found?.ok === true && (mayBeEmpty || goes.length > 0);
  const isReady = isSeen || !isNeeded;

  async function onAction(): Promise<boolean> {
    if (isReady) return act();
    setSeen({ asked, found: await preview() });
    return false;
  }

  return (
    <Dialog
      title={title}
      action={isReady ? action : ask}
      isDangerous={isSeen && (isDangerous || goes.length > 0)}
      isBlocked={isBlocked}
      onAction={onAction}
    >
      {children}
      {found?.ok === false && <Refused failure={found.failure} />}
      {found?.ok && (
        <div role="status">
          {found.value.does && <Done lines={found.value.does} />}
          <Gone names={goes} noun={noun} />
        </div>
      )}
    </Dialog>
  );
}

function Done({ lines }: { readonly lines: readonly string[] }) {
  return (
    <ol class="planned">
      {lines.slice(0, SHOWN).map((line) => (
        <li key={line}>{line}</li>
      ))}
      {lines.length > SHOWN && <li>and {countText(lines.length - SHOWN)} more</li>}
    </ol>
  );
}

function Gone({ names, noun }: { readonly names: readonly string[]; readonly noun: string }) {
  if (names.length === 0) {
    return (
      <p>
        <strong>No {noun} would go.</strong>
      </p>
    );
  }
  return (
    <div class="destroyed">
      <p>
        <strong>
          {countText(names.length)} {noun} would go:
        </strong>
      </p>
      <NameList names={names} most={SHOWN} />
    </div>
  );
}

function Refused({ failure }: { readonly failure: Failure }) {
  return (
    <p class="problem" role="alert">
      {failure.message}
    </p>
  );
}
