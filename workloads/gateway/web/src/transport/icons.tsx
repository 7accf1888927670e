// The signs of a tape deck, drawn: no font has all of them alike.
const PATHS = {
  start: "M5 4h2v16H5zM20 4v16L8 12z",
  back: "M15 4v16L5 12zM17 4h2v16h-2z",
  play: "M7 4l13 8-13 8z",
  pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  forward: "M5 4h2v16H5zM9 4l10 8-10 8z",
  end: "M4 4l12 8-12 8zM17 4h2v16h-2z",
  loop: "M7 7h10v3l4-4-4-4v3H5v6h2zM17 17H7v-3l-4 4 4 4v-3h12v-6h-2z",
  undo: "M8 5V1L2 7l6 6V9c5 0 8 2 8 6 0 2-1 4-3 5 4 0 7-3 7-7 0-5-4-8-12-8z",
  camera: "M9 4L7 6H3v14h18V6h-4l-2-2zM12 9a4 4 0 110 8 4 4 0 010-8z",
  share: "M18 16a3 3 0 00-2.2 1L8.9 13a3 3 0 000-2l6.9-4a3 3 0 10-1-1.7L8 9.3a3 3 0 100 5.4l6.8 4A3 3 0 1018 16z",
  menu: "M3 6h18v2H3zM3 11h18v2H3zM3 16h18v2H3z",
  close: "M5 6l1-1 6 6 6-6 1 1-6 6 6 6-1 1-6-6-6 6-1-1 6-6z",
} as const;

export type IconName = keyof typeof PATHS;

/** A sign without a name of its own: what has it says what it is. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="16" height="16" aria-hidden="true">
      <path d={PATHS[name]} fill="currentColor" />
    </svg>
  );
}
