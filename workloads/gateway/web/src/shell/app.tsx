// The page: its head, and the view of the present address.
import { Deck } from "../deck/deck";
import { isEmbedded } from "../deck/selection";
import { MarketsView } from "../markets/markets_view";
import { NewView } from "../new/new_view";
import { CompareView } from "../run/compare_view";
import { RunView } from "../run/run_view";
import { Header } from "./header";
import { Login } from "./login";
import { Link, type Route, route } from "./router";

export function App() {
  return (
    <>
      {!isEmbedded.value && <Header />}
      <View to={route.value} />
      <Login />
    </>
  );
}

function View({ to }: { to: Route }) {
  switch (to.view) {
    case "deck":
      return <Deck />;
    case "run":
      return <RunView id={to.id} />;
    case "compare":
      return <CompareView ids={to.ids} />;
    case "markets":
      return <MarketsView />;
    case "new":
      return <NewView />;
    case "unknown":
      return <Unknown path={to.path} />;
  }
}

function Unknown({ path }: { path: string }) {
  return (
    <main class="view note">
      <h2>No such view</h2>
      <p>path: got {path}, expected /, /run/ID, /compare, /markets or /new</p>
      <p>
        <Link to={{ view: "deck" }}>Open the Deck</Link>
      </p>
    </main>
  );
}
