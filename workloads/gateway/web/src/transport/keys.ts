// The keys of the Deck, and what they do.
import { tokenRequired } from "../data/request";
import { openModals } from "../shell/modal";
import { type Action, dialog, perform } from "./actions";
import { asked } from "./seeks";

interface Key {
  action: Action;
  /** How the help shows it. */
  shown: string;
  what: string;
  matches: (event: KeyboardEvent) => boolean;
}

const plain = (key: string) => (event: KeyboardEvent) => event.key === key && !event.shiftKey && !hasModifier(event);
const shifted = (key: string) => (event: KeyboardEvent) => event.key === key && event.shiftKey && !hasModifier(event);
/** A character, with whatever it takes to write it: / is Shift+7 on many keyboards. */
const character = (text: string) => (event: KeyboardEvent) => event.key.toLowerCase() === text && !hasModifier(event);

export const KEYS: readonly Key[] = [
  { action: "playOrPause", shown: "Space", what: "Play or pause", matches: plain(" ") },
  { action: "stepForward", shown: "→", what: "One bar forward", matches: plain("ArrowRight") },
  { action: "stepBack", shown: "←", what: "One bar back", matches: plain("ArrowLeft") },
  { action: "longForward", shown: "Shift →", what: "Ten bars forward", matches: shifted("ArrowRight") },
  { action: "longBack", shown: "Shift ←", what: "Ten bars back", matches: shifted("ArrowLeft") },
  { action: "slower", shown: "[", what: "Slower", matches: character("[") },
  { action: "faster", shown: "]", what: "Faster", matches: character("]") },
  { action: "loop", shown: "L", what: "Loop: from A to B, or the whole range", matches: character("l") },
  { action: "jump", shown: "G", what: "Go to a date", matches: character("g") },
  { action: "search", shown: "/", what: "Search a symbol", matches: character("/") },
  { action: "help", shown: "?", what: "These keys", matches: character("?") },
  {
    action: "undo",
    shown: "Ctrl Z",
    what: "Undo the last seek",
    matches: (event) => event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey,
  },
];

function hasModifier(event: KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey || (event.altKey && event.key.length > 1);
}

/** What a key does; null where it is none of the Deck's, or is meant for a field, a list or a button. */
export function actionOf(event: KeyboardEvent): Action | null {
  if (event.defaultPrevented || isTyped(event)) return null;
  return KEYS.find(({ matches }) => matches(event))?.action ?? null;
}

/** Whether the key belongs to the element that has the focus. */
function isTyped({ target, key }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest("input, textarea, select, dialog, [contenteditable]") !== null) return true;
  return (key === " " || key === "Enter") && target.closest("button, a, summary") !== null;
}

/** Whether something covers the Deck and has the keys, or will in a moment. */
const isCovered = (): boolean =>
  openModals.peek() > 0 || dialog.peek() !== null || asked.peek() !== null || tokenRequired.peek() !== null;

/** Obey the keys from now on. */
export function listenToKeys(): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (isCovered()) return;
    const action = actionOf(event);
    if (action === null) return;
    event.preventDefault();
    perform(action);
  };
  window.addEventListener("keydown", onKey);
  return () => window.removeEventListener("keydown", onKey);
}
