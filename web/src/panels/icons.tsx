// The page's signs, as lines on a field of 24 by 24.

const PATHS = {
  run: "M8 5l11 7-11 7z",
  cancel: "M6 6h12v12H6z",
  undo: "M9 7L4 12l5 5M4 12h10a5 5 0 0 1 0 10h-2",
  redo: "M15 7l5 5-5 5M20 12H10a5 5 0 0 0 0 10h2",
  add: "M12 5v14M5 12h14",
  open: "M3 19V6h6l2 2h10v11z",
  save: "M4 4h12l4 4v12H4zM8 4v5h7V4M7 20v-7h10v7",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  arrange: "M4 5h6v5H4zM14 14h6v5h-6zM10 7.5h4v9",
  keys: "M9 9a3 3 0 1 1 4 2.8c-.7.4-1 1-1 2.2M12 18v.5",
  theme: "M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10z",
  map: "M4 5h16v14H4zM12 12h8v7h-8z",
  templates: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  queue: "M4 6h16M4 12h10M4 18h7M18 12v6M15 15h6",
  gallery: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M15.5 9.5h.1",
  errors: "M12 3l10 18H2zM12 10v5M12 18v.3",
  more: "M5 12h.1M12 12h.1M19 12h.1",
  live: "M12 10a2 2 0 1 1 0 4a2 2 0 1 1 0-4M7.5 7.5a6.4 6.4 0 0 0 0 9M16.5 7.5a6.4 6.4 0 0 1 0 9M4.5 4.5a10.6 10.6 0 0 0 0 15M19.5 4.5a10.6 10.6 0 0 1 0 15",
  hint: "M4 4h16v16H4zM7 16l3-7 3 4 2-2 2 5",
  close: "M6 6l12 12M18 6L6 18",
  settings: "M12 8.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M18.4 5.6l-2.2 2.2M7.8 16.2l-2.2 2.2",
  alignLeft: "M4 3v18M8 6h12v4H8zM8 14h7v4H8z",
  alignCentre: "M12 3v3M12 10v4M12 18v3M5 6h14v4H5zM8 14h8v4H8z",
  alignRight: "M20 3v18M4 6h12v4H4zM9 14h7v4H9z",
  alignTop: "M3 4h18M6 8h4v12H6zM14 8h4v7h-4z",
  alignMiddle: "M3 12h3M10 12h4M18 12h3M6 5h4v14H6zM14 8h4v8h-4z",
  alignBottom: "M3 20h18M6 4h4v12H6zM14 9h4v7h-4z",
  spaceAcross: "M4 3v18M20 3v18M9.5 7h5v10h-5z",
  spaceDown: "M3 4h18M3 20h18M7 9.5h10v5H7z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
