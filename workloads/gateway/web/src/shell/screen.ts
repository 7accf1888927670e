// How wide the screen is: rows and controls of a phone are as high as a thumb needs them.
import { signal } from "@preact/signals";

/** The same width as in the style sheets. */
const PHONE = "(width < 700px)";

/** Whether the page is as narrow as a phone. */
export const isPhone = signal(false);

export function watchScreen(): void {
  const query = window.matchMedia(PHONE);
  isPhone.value = query.matches;
  query.addEventListener("change", () => (isPhone.value = query.matches));
}
