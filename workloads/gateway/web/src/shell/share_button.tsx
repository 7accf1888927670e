// A button that copies the address of what is shown, for somebody else.
import { useEffect, useState } from "preact/hooks";
import { sharedAddress } from "../deck/selection";
import { Icon } from "../transport/icons";
import { address, route } from "./router";

/** So long the button says that it has copied. */
const SAID_MS = 4_000;

/** Hosts that are the reader's own computer: a link to them leads nobody else here. */
const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\])$/;
const copiedText = () => (LOOPBACK.test(location.hostname) ? "Link copied: it opens on this computer only" : "Link copied");

/** What was shared last, and the address of the page when it was. */
interface Shared {
  link: string;
  isCopied: boolean;
  at: unknown;
}

export function ShareButton() {
  const [last, setLast] = useState<Shared | null>(null);
  const shared = last?.at === address.value ? last : null; // not of another view
  useEffect(() => {
    if (last?.isCopied !== true) return;
    const timer = setTimeout(() => setLast(null), SAID_MS);
    return () => clearTimeout(timer);
  }, [last]);
  const share = async () => {
    const path = route.peek().view === "deck" ? sharedAddress() : location.pathname + location.search;
    const link = location.origin + path;
    const copy = async () => navigator.clipboard.writeText(link); // not there where the page has come without TLS
    const isCopied = await copy().then(() => true, () => false);
    setLast({ link, isCopied, at: address.peek() });
  };
  return (
    <div class="share">
      <button type="button" onClick={() => void share()} title="Copy a link to what is shown" aria-label="Share">
        <Icon name="share" />
        <span class="word">Share</span>
      </button>
      <span role="status">{shared?.isCopied === true && copiedText()}</span>
      {shared?.isCopied === false && (
        <input
          readOnly
          aria-label="Link to what is shown: copy it"
          value={shared.link}
          ref={(field) => field?.select()}
          onBlur={() => setLast(null)}
        />
      )}
    </div>
  );
}
