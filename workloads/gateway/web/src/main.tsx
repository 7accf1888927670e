// The page begins: the token of the address, then what cleans text, then the first view.
import { render } from "preact";
import { connect } from "./data/gateway_socket";
import { App } from "./shell/app";
import { startRouter } from "./shell/router";
import { watchScreen } from "./shell/screen";
import { watchTheme } from "./shell/theme";
import "./style/page.css";
import { cleanDrawnText } from "./text";
import { takeTokenFromAddress } from "./token";

function start(): void {
  const place = document.getElementById("page");
  if (place === null) throw new Error("page: got no element #page, expected one in index.html");
  takeTokenFromAddress();
  cleanDrawnText();
  watchTheme();
  watchScreen();
  startRouter();
  connect();
  render(<App />, place);
}

start();
