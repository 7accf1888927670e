// How wide a drawing is on the screen: one that is scaled to its place has texts that nobody can read on a phone.
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { whenResized } from "./resized";

/** The place to measure, and its width in pixels; ``assumed`` before it is measured. */
export function useDrawnWidth<Place extends Element>(assumed: number): [RefObject<Place | null>, number] {
  const place = useRef<Place>(null);
  const [width, setWidth] = useState(assumed);
  useEffect(() => {
    const { current } = place;
    if (current === null) return;
    return whenResized([current], () => {
      if (current.clientWidth > 0) setWidth(current.clientWidth);
    });
  }, []);
  return [place, width];
}
