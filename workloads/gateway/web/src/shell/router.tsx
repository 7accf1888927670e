// Addresses of the page: each view has one, and what is chosen within a view is in its query.
import { computed, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

export type Route =
  | { view: "deck" }
  | { view: "run"; id: string }
  | { view: "compare"; ids: string[] }
  | { view: "markets" }
  | { view: "new" }
  | { view: "unknown"; path: string };

interface Address {
  path: string;
  query: URLSearchParams;
}

const current = (): Address => ({ path: location.pathname, query: new URLSearchParams(location.search) });

export const address = signal<Address>({ path: "/", query: new URLSearchParams() });
let lastRoute: Route = { view: "deck" };
/** The same object while the view is the same: what is chosen within it draws nothing else again. */
export const route = computed<Route>(() => {
  const found = parseRoute(address.value.path, address.value.query);
  return JSON.stringify(found) === JSON.stringify(lastRoute) ? lastRoute : (lastRoute = found);
});
/** Where the Deck was left, so that the way back to it leads there. */
export const deckAddress = signal("/");

export function parseRoute(path: string, query: URLSearchParams): Route {
  const [view = "", ...rest] = path.replace(/^\/+|\/+$/g, "").split("/");
  if (view === "" && rest.length === 0) return { view: "deck" };
  const id = decoded(rest.join("/"));
  if (view === "run" && id !== "") return { view, id };
  if (view === "compare" && rest.length === 0) return { view, ids: query.getAll("run") };
  if ((view === "markets" || view === "new") && rest.length === 0) return { view };
  return { view: "unknown", path };
}

/** The address of a view. */
export function pathOf(to: Route): string {
  if (to.view === "run") return `/run/${encodeURIComponent(to.id)}`;
  if (to.view === "compare") {
    const query = new URLSearchParams(to.ids.map((id) => ["run", id])).toString();
    return query === "" ? "/compare" : `/compare?${query}`;
  }
  if (to.view === "unknown") return to.path;
  return to.view === "deck" ? deckAddress.value : `/${to.view}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Go to an address of the page: a new entry of the history, or in place of the present one. */
export function navigate(to: string | Route, replace = false): void {
  const target = typeof to === "string" ? to : pathOf(to);
  if (target === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
  follow();
}

/**
 * Change parameters of the present address; null removes one, and a list gives it several values. What follows no history,
 * such as a report's file, keeps them for itself.
 */
export function setQuery(changes: Record<string, string | readonly string[] | null>, replace = false): void {
  const query = new URLSearchParams(isFollowed ? location.search : address.peek().query);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const each of value === null ? [] : [value].flat()) query.append(name, each);
  }
  if (!isFollowed) return void (address.value = { ...address.peek(), query });
  const text = query.toString();
  navigate(text === "" ? location.pathname : `${location.pathname}?${text}`, replace);
}

let isFollowed = false;

/** Follow the browser's history from now on. */
export function startRouter(): void {
  isFollowed = true;
  window.addEventListener("popstate", follow);
  follow();
}

function follow(): void {
  address.value = current();
  if (route.value.view === "deck") deckAddress.value = location.pathname + location.search;
}

/** Goes to where a link leads; a click with a modifier is the browser's. */
const following = (to: string | Route) => (event: MouseEvent) => {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  navigate(to);
};

/** A link to a view. */
export function Link(props: { to: Route; class?: string; current?: boolean; children: ComponentChildren }) {
  return (
    <a href={pathOf(props.to)} class={props.class} aria-current={props.current === true ? "page" : undefined} onClick={following(props.to)}>
      {props.children}
    </a>
  );
}

/** A link to an address of the page: a view with what is chosen in it. */
export function AddressLink(props: { address: string; children: ComponentChildren }) {
  return (
    <a class="address-link" href={props.address} onClick={following(props.address)}>
      {props.children}
    </a>
  );
}
