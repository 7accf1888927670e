// A box that scrolls sideways, and fades where more of it is: a table that is cut looks whole on a phone, which shows no bar.
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { whenResized } from "./resized";

/** Less than this is the rounding of a screen's pixels. */
const SLACK = 2;

/** On which sides of a box there is more: left, right. */
export function hiddenSides({ scrollLeft, scrollWidth, clientWidth }: Pick<Element, "scrollLeft" | "scrollWidth" | "clientWidth">): string {
  const sides = [scrollLeft > SLACK ? "left" : "", scrollLeft + clientWidth < scrollWidth - SLACK ? "right" : ""];
  return sides.filter((side) => side !== "").join(" ");
}

/** Tell a box's style, as ``data-more``, on which sides there is more. ``startsAtEnd``: its end is in sight at first. */
export function useScrollHint(place: RefObject<HTMLElement | null>, startsAtEnd = false): void {
  useEffect(() => {
    const box = place.current;
    if (box === null) return;
    const tell = () => {
      const sides = hiddenSides(box);
      if (box.dataset["more"] !== sides) box.dataset["more"] = sides;
    };
    if (startsAtEnd) box.scrollLeft = box.scrollWidth;
    tell();
    box.addEventListener("scroll", tell, { passive: true });
    const end = whenResized([box, ...box.children], tell);
    return () => {
      box.removeEventListener("scroll", tell);
      end();
    };
  }, []);
}

interface ScrollBoxProps {
  label: string;
  class?: string;
  /** Whether the end is what a reader looks for first, such as the newest of columns. */
  startsAtEnd?: boolean;
  children: ComponentChildren;
}

/** It takes the focus, so that the keyboard can scroll it. */
export function ScrollBox({ label, class: more, startsAtEnd, children }: ScrollBoxProps) {
  const place = useRef<HTMLDivElement>(null);
  useScrollHint(place, startsAtEnd);
  return (
    <div class={["scroll", more, startsAtEnd === true ? "keeps-heads" : undefined].filter((each) => each !== undefined).join(" ")} ref={place} tabIndex={0} role="region" aria-label={label}>
      {children}
    </div>
  );
}
