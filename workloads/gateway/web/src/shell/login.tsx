// The form that asks for a token, shown while the gateway refuses requests without one.
import { useEffect, useRef } from "preact/hooks";
import { tokenRequired } from "../data/request";
import { currentToken, keepToken } from "../token";

/** Where tokens come from, as docs/guides/page.md says. */
const SOURCE =
  "On a deck of your own, `tapedeck page` prints an address with a token. On a cluster tokens are in the Secret <release>-gateway-tokens, or in that of gateway.existingTokensSecret.";

export function Login() {
  const input = useRef<HTMLInputElement>(null);
  const asked = tokenRequired.value;
  useEffect(() => {
    if (asked !== null) input.current?.focus();
  }, [asked]);
  if (asked === null) return null;
  const open = (event: Event) => {
    event.preventDefault();
    keepToken(input.current?.value ?? "");
    location.reload();
  };
  const forget = () => {
    keepToken("");
    location.reload();
  };
  const without = { reading: "This gateway asks for a token.", changes: "Changes need a token with the right to control." };
  const unknown = "The gateway does not know this token: it may be of another deck, or of one that was restarted.";
  return (
    <form id="login" class="cover" onSubmit={open}>
      <p>{currentToken() === "" ? without[asked] : unknown}</p>
      <p class="note">{SOURCE}</p>
      <label>
        Token
        <input ref={input} name="token" type="password" required autocomplete="current-password" />
      </label>
      <div class="choices">
        <button class="primary">Open</button>
        {currentToken() !== "" && (
          <button type="button" onClick={forget}>
            Without a token
          </button>
        )}
        {asked === "changes" && (
          <button type="button" onClick={() => (tokenRequired.value = null)}>
            Only watch
          </button>
        )}
      </div>
    </form>
  );
}
