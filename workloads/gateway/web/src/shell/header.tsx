// The head of every view: where one is, where one can go, and whether the gateway answers.
import { connection } from "../data/gateway_socket";
import { Link, route } from "./router";
import { ShareButton } from "./share_button";

export function Header() {
  const view = route.value.view;
  const status = connection.value;
  return (
    <header class="head">
      <h1>
        <img src="/icon.svg" alt="" width="24" height="24" />
        <span>Tapedeck</span>
      </h1>
      <nav aria-label="Views">
        <Link to={{ view: "deck" }} current={view === "deck"}>
          Deck
        </Link>
        <Link to={{ view: "compare", ids: [] }} current={view === "compare"}>
          Compare
        </Link>
        <Link to={{ view: "markets" }} current={view === "markets"}>
          Markets
        </Link>
        <Link to={{ view: "new" }} current={view === "new"}>
          New
        </Link>
      </nav>
      <ShareButton />
      <p id="connection" role="status" data-state={status.state}>
        {status.text}
      </p>
    </header>
  );
}
