// Files of the gateway that are saved by the browser. A link alone could send no token.
import { type Query, addressOf, RequestError } from "../data/request";
import { requestHeaders } from "../token";

const TIMEOUT_MS = 120_000;

/** Fetch a file and save it under the name that the gateway gives it. Raises RequestError. */
export async function saveFile(path: string, query: Query, fallback: string): Promise<void> {
  let response: Response;
  let content: Blob;
  try {
    response = await fetch(addressOf(path, query), { headers: requestHeaders(), signal: AbortSignal.timeout(TIMEOUT_MS) });
    content = await response.blob();
  } catch {
    throw new RequestError("The gateway does not answer.", 0, "Unreachable");
  }
  if (!response.ok) {
    const told: unknown = await content.text().then(JSON.parse).catch(() => null);
    const detail = told !== null && typeof told === "object" && "detail" in told ? String(told.detail) : response.statusText;
    throw new RequestError(detail, response.status);
  }
  save(content, fileName(response.headers.get("content-disposition")) ?? fallback);
}

export const fileName = (disposition: string | null): string | null =>
  /filename="([^"/\\]+)"/.exec(disposition ?? "")?.[1] ?? null;

function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
