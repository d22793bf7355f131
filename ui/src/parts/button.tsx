import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icons.tsx";

interface ButtonProps {
  readonly onClick?: () => void;
  readonly icon?: IconName;
  readonly kind?: "plain" | "main" | "danger" | "quiet";
  readonly type?: "button" | "submit";
  readonly disabled?: boolean;
  /** What it does, where its text or picture alone does not say it. */
  readonly label?: string;
  /** Of one that shows and hides something: whether that is shown. */
  readonly expanded?: boolean;
  readonly children?: ComponentChildren;
}

export function Button({
  onClick,
  icon,
  kind = "plain",
  type = "button",
  disabled,
  label,
  expanded,
  children,
}: ButtonProps) {
  return (
    <button
      type={type}
      class={`button ${kind}${children ? "" : " bare"}`}
      disabled={disabled}
      aria-label={label}
      aria-expanded={expanded}
      title={children ? undefined : label}
      onClick={onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}
