import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Failure, Outcome } from "../api/client.ts";
import { countText } from "../model/sizes.ts";
import { Dialog } from "../parts/dialog.tsx";

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
  /** Asks what would go, and changes nothing. */
  preview(): Promise<Outcome<readonly string[]>>;
  /** Does it. @returns whether the dialog may close. */
  act(): Promise<boolean> | boolean;
  readonly children: ComponentChildren;
}

const SHOWN = 50;

/** Asks the daemon for a dry run first, and does it once that was shown. */
export function PreviewDialog(props: PreviewDialogProps) {
  const { title, params, action, noun, isBlocked = false, isNeeded = true, mayBeEmpty = false } = props;
  const { preview, act, children } = props;
  const asked = JSON.stringify(params);
  const [seen, setSeen] = useState<{ asked: string; found: Outcome<readonly string[]> } | undefined>();
  const found = seen?.asked === asked ? seen.found : undefined;
  const isSeen = found?.ok === true && (mayBeEmpty || found.value.length > 0);
  const isReady = isSeen || !isNeeded;

  async function onAction(): Promise<boolean> {
    if (isReady) return act();
    setSeen({ asked, found: await preview() });
    return false;
  }

  return (
    <Dialog
      title={title}
      action={isReady ? action : "Show what would go"}
      isDangerous={isSeen}
      isBlocked={isBlocked}
      onAction={onAction}
    >
      {children}
      {found?.ok === false && <Refused failure={found.failure} />}
      {found?.ok && (
        <div class="destroyed" role="status">
          <p>
            <strong>
              {found.value.length === 0
                ? `No ${noun} would go.`
                : `${countText(found.value.length)} ${noun} would go:`}
            </strong>
          </p>
          {found.value.length > 0 && (
            <ul>
              {found.value.slice(0, SHOWN).map((id) => (
                <li key={id} class="dataset">
                  {id}
                </li>
              ))}
              {found.value.length > SHOWN && <li>and others</li>}
            </ul>
          )}
        </div>
      )}
    </Dialog>
  );
}

function Refused({ failure }: { readonly failure: Failure }) {
  return (
    <p class="problem" role="alert">
      {failure.message}
    </p>
  );
}
