// Changes of the sizes of elements. What follows from one may change another: in the same frame a browser would complain of a loop.

/** Call ``measure`` in the frame after a size of the elements has changed, and once at first. Returns what ends that. */
export function whenResized(elements: Iterable<Element>, measure: () => void): () => void {
  if (typeof ResizeObserver === "undefined") return () => undefined;
  let frame = 0;
  const observer = new ResizeObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(measure);
  });
  for (const each of elements) observer.observe(each);
  return () => {
    cancelAnimationFrame(frame);
    observer.disconnect();
  };
}
