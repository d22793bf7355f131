import type { TargetedInputEvent } from "preact";
import { useId } from "preact/hooks";

interface FieldProps {
  readonly label: string;
  readonly value: string;
  onInput(value: string): void;
  readonly hint?: string;
  /** What is wrong with the value; "" if nothing is. */
  readonly problem?: string;
  readonly placeholder?: string;
  readonly type?: "text" | "password";
  readonly isFirst?: boolean;
}

/** A line of text to fill in, with its label, and a hint or a problem below. */
export function Field({
  label,
  value,
  onInput,
  hint,
  problem,
  placeholder,
  type = "text",
  isFirst,
}: FieldProps) {
  const id = useId();
  const told = problem || hint;
  const attributes = {
    id,
    value,
    placeholder,
    autocomplete: "off",
    spellcheck: false,
    autofocus: isFirst,
    "aria-invalid": problem ? ("true" as const) : undefined,
    "aria-describedby": told ? `${id}-told` : undefined,
    onInput: ({ currentTarget }: TargetedInputEvent<HTMLInputElement>) => onInput(currentTarget.value),
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {type === "password" ? (
        <input {...attributes} type="password" />
      ) : (
        <input {...attributes} type="text" />
      )}
      {told && (
        <p id={`${id}-told`} class={problem ? "problem" : "hint"}>
          {told}
        </p>
      )}
    </div>
  );
}
