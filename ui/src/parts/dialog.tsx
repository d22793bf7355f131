import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useStore } from "../model/store.ts";
import { Button } from "./button.tsx";

interface DialogProps {
  readonly title: string;
  /** What the button says that does it. */
  readonly action: string;
  readonly isDangerous?: boolean;
  /** Nothing can be done yet. */
  readonly isBlocked?: boolean;
  /** Does it. @returns whether the dialog may close. */
  onAction(): Promise<boolean> | boolean;
  readonly children: ComponentChildren;
}

/** A modal dialog: the browser keeps the focus in it, closes it by Escape, and gives the focus back. */
export function Dialog({ title, action, isDangerous, isBlocked, onAction, children }: DialogProps) {
  const { dialog } = useStore();
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const [isBusy, setBusy] = useState(false);
  const close = () => element.current?.close();

  useEffect(() => element.current?.showModal(), []);

  async function act(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    const mayClose = await onAction();
    setBusy(false);
    if (mayClose) close();
  }

  return (
    <dialog
      ref={element}
      aria-labelledby={heading}
      onClose={() => {
        dialog.value = undefined;
      }}
    >
      <form onSubmit={(event) => void act(event)}>
        <h2 id={heading}>{title}</h2>
        <div class="dialog-body">{children}</div>
        <div class="dialog-buttons">
          <Button onClick={close}>Cancel</Button>
          <Button
            type="submit"
            kind={isDangerous ? "danger" : "main"}
            disabled={isBusy || isBlocked === true}
          >
            {action}
          </Button>
        </div>
      </form>
    </dialog>
  );
}
