interface FilterFieldProps {
  /** What it looks for, such as "Filter by name": also shown while it is empty. */
  readonly label: string;
  readonly value: string;
  onInput(value: string): void;
}

/** The field above a list that narrows it. Its state is the view's, which is drawn anew with each key. */
export function FilterField({ label, value, onInput }: FilterFieldProps) {
  return (
    <input
      type="search"
      class="filter"
      aria-label={label}
      placeholder={label}
      value={value}
      onInput={({ currentTarget }) => onInput(currentTarget.value)}
    />
  );
}
