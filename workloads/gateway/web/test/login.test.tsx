// @vitest-environment happy-dom
// The form that asks for a token says why, and where there is one.
import { render } from "preact";
import { afterEach, expect, it } from "vitest";
import { tokenRequired } from "../src/data/request";
import { Login } from "../src/shell/login";
import { keepToken } from "../src/token";

const place = document.body.appendChild(document.createElement("div"));
afterEach(() => {
  render(null, place);
  tokenRequired.value = null;
  sessionStorage.clear();
});

it.each([
  ["former", "reading", "The gateway does not know this token"],
  ["", "reading", "This gateway asks for a token."],
  ["", "changes", "Changes need a token with the right to control."],
] as const)("with the token %j, for %s, says %j and where to get one", (token, asked, why) => {
  keepToken(token);
  tokenRequired.value = asked;
  render(<Login />, place);
  const text = place.querySelector("#login")?.textContent;
  expect(text).toContain(why);
  expect(text).toContain("`tapedeck page` prints an address with a token");
  expect(text).toContain("the Secret <release>-gateway-tokens, or in that of gateway.existingTokensSecret");
});
