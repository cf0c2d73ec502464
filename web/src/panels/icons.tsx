// The page's signs, as lines on a field of 24 by 24.

const PATHS = {
  run: "M8 5l11 7-11 7z",
  cancel: "M6 6h12v12H6z",
  undo: "M9 7L4 12l5 5M4 12h10a5 5 0 0 1 0 10h-2",
  redo: "M15 7l5 5-5 5M20 12H10a5 5 0 0 0 0 10h2",
  add: "M12 5v14M5 12h14",
  open: "M3 19V6h6l2 2h10v11z",
  save: "M12 4v11M7 11l5 5 5-5M4 20h16",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  arrange: "M4 5h6v5H4zM14 14h6v5h-6zM10 7.5h4v9",
  keys: "M9 9a3 3 0 1 1 4 2.8c-.7.4-1 1-1 2.2M12 18v.5",
  theme: "M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10z",
  density: "M4 6h16M4 12h16M4 18h16",
  map: "M4 5h16v14H4zM12 12h8v7h-8z",
  templates: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  queue: "M4 6h16M4 12h10M4 18h7M18 12v6M15 15h6",
  gallery: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M15.5 9.5h.1",
  errors: "M12 3l10 18H2zM12 10v5M12 18v.3",
  close: "M6 6l12 12M18 6L6 18",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
