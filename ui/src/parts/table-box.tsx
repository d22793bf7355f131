import type { ComponentChildren } from "preact";

/** What a wide table scrolls in. The keys must reach it, or they could not scroll it. */
export function TableBox({
  label,
  children,
}: {
  readonly label: string;
  readonly children: ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
    <section class="table-box" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}
