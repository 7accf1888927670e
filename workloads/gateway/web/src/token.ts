// The token of the gateway: from the address (#token=…) or the form, kept for this tab until it is closed.
const KEY = "tapedeck.token";

/** Keep the token that the address names, and remove it from the address, so that it is not shared or bookmarked. */
export function takeTokenFromAddress(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  keepToken(token);
  history.replaceState(null, "", location.pathname + location.search);
}

export const keepToken = (token: string): void => sessionStorage.setItem(KEY, token.trim());

export const currentToken = (): string => sessionStorage.getItem(KEY) ?? "";

export function requestHeaders(): Record<string, string> {
  const token = currentToken();
  return token === "" ? {} : { authorization: `Bearer ${token}` };
}
