/** Outlines in a square of 20, drawn for this page. */
const PATHS = {
  overview: "M3 11a7 7 0 0 1 14 0M10 11l3.5-3.5M3 11v4h14v-4",
  volumes:
    "M4 5.5C4 4 6.7 3 10 3s6 1 6 2.5S13.3 8 10 8 4 7 4 5.5ZM4 5.5v9C4 16 6.7 17 10 17s6-1 6-2.5v-9M4 10c0 1.5 2.7 2.5 6 2.5s6-1 6-2.5",
  images: "M10 3l7 3.5-7 3.5-7-3.5L10 3ZM3 10l7 3.5 7-3.5M3 13.5L10 17l7-3.5",
  guests: "M3 4h14v9H3ZM7 17h6M10 13v4",
  jobs: "M5 4v12M5 4h9l-2 3 2 3H5M15 14l2 2",
  replication: "M3 7h11M11 4l3 3-3 3M17 13H6M9 10l-3 3 3 3",
  backups: "M4 8a4 4 0 0 1 7.7-1.5A3.5 3.5 0 0 1 16 13.5M5 13a3 3 0 0 1-1-5M10 17v-6M7.5 13.5 10 11l2.5 2.5",
  verify: "M4 10.5l4 4 8-9",
  snapshot: "M3 6h3l1.5-2h5L14 6h3v10H3ZM10 8.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5Z",
  back: "M4 10a6 6 0 1 1 2 4.5M4 10V6M4 10h4",
  download: "M10 3v9M6 8.5l4 4 4-4M4 16h12",
  remove: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M9 9v4M11 9v4",
  add: "M10 4v12M4 10h12",
  clone: "M7 7h9v9H7ZM4 13V4h9",
  closed: "M8 5l5 5-5 5",
  opened: "M5 8l5 5 5-5",
  copy: "M7 7h9v9H7ZM4 13V4h9M11.5 9.5v4M9.5 11.5h4",
  fence: "M4 16V6l2-2 2 2v10M12 16V6l2-2 2 2v10M2 9h16M2 13h16",
  quota: "M3 14a7 7 0 0 1 14 0M10 14l4-5M3 17h14",
  promote: "M10 16V4M5 9l5-5 5 5",
  resize: "M3 10h14M6 7l-3 3 3 3M14 7l3 3-3 3",
  rename: "M4 16l1-4 8-8 3 3-8 8-4 1Z",
  close: "M5 5l10 10M15 5L5 15",
  warning: "M10 3l8 14H2L10 3ZM10 8v4M10 14.5v.5",
  refresh: "M16 10a6 6 0 1 1-1.8-4.2M16 3v4h-4",
  out: "M8 4H4v12h4M8 10h9M14 7l3 3-3 3",
} as const;

export type IconName = keyof typeof PATHS;

/** A picture beside a text that says the same: hidden from screen readers. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
