// Files of this machine for a deck: their upload in parts, what the deck recognizes in them, and their import.
import { signal } from "@preact/signals";
import type { FileImport, UploadedFile, UploadLimits } from "../data/api";
import { Polled } from "../data/loadable";
import { addressOf, get, RequestError, send, sendBytes } from "../data/request";
import { refreshResources } from "../data/resources";
import { DEFAULT_NAMESPACE, type Problem, problemsOf } from "./apply";
import { type Field, valueOf, type Values } from "./fields";
import { INTERVALS } from "./forms";

const PATH = `/api/v1/namespaces/${DEFAULT_NAMESPACE}/uploads`;
const LIMITS_MS = 60_000;
/** The deck looks at files for up to five minutes. */
const LOOK_TIMEOUT_MS = 330_000;
const TOO_MANY = 429;
const TRIES = 10;
const PAUSE_MS = 1_000;

/** Whether this gateway takes files. */
export const uploadLimits = new Polled(() => get<UploadLimits>(PATH), LIMITS_MS);

/** What files may not say themselves, by the names of the API. */
export const IMPORT_FIELDS: readonly Field[] = [
  { id: "exchange", label: "Exchange", type: "text", path: "exchange", hint: "as recognized if empty" },
  { id: "symbol", label: "Symbol", type: "text", path: "symbol", hint: "of all files, such as BTC/USD" },
  { id: "interval", label: "Bars of", type: "choice", path: "interval", options: ["", ...INTERVALS] },
  { id: "unit", label: "Unit of times", type: "choice", path: "unit", options: ["", "s", "ms", "us", "ns"] },
  { id: "zone", label: "Zone of times", type: "text", path: "zone", hint: "of times without an offset, such as America/New_York" },
  { id: "kind", label: "Kind", type: "choice", path: "kind", options: ["", "bars", "trades"] },
  { id: "columns", label: "Columns", type: "list", path: "columns", hint: "in their order, - skips one: ts,open,high,low,close,-,volume" },
];

export type ImportState =
  | { is: "none" }
  | { is: "sending"; name: string; sent: number; size: number }
  | { is: "looking" }
  | { is: "looked"; found: FileImport }
  | { is: "importing" }
  | { is: "made"; feeds: string[] }
  | { is: "refused"; problems: Problem[] };

/** The options that the fields say, as the API takes them. */
export function optionsOf(values: Values): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const { id, type } of IMPORT_FIELDS) {
    const value = valueOf(type, values[id] ?? "");
    if (value === undefined) continue;
    options[id] = id === "columns" ? numbered(value as string[]) : value;
  }
  return options;
}

function numbered(names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name, i) => [name, i + 1] as const).filter(([name]) => name !== "-"));
}

/** Files that are imported together. A later step of the user ends what waits for an earlier one. */
export class FileImporter {
  readonly state = signal<ImportState>({ is: "none" });
  private upload = "";
  private step = 0;

  /** Upload files in place of those before, and look at them. */
  async take(files: readonly File[], options: Record<string, unknown>): Promise<void> {
    await this.drop();
    if (files.length === 0) return;
    const step = ++this.step;
    const upload = (this.upload = newName());
    try {
      const { fileBytes, partBytes } = await this.limits();
      const large = files.find(({ size }) => size > fileBytes || size === 0);
      if (large !== undefined) {
        const expected = large.size === 0 ? "one with content" : `at most ${fileBytes} bytes: import it by \`tapedeck import\``;
        throw new Error(`${large.name}: got ${large.size} bytes, expected ${expected}`);
      }
      const size = files.reduce((sum, each) => sum + each.size, 0);
      let before = 0;
      for (const file of files) {
        for (let offset = 0; offset < file.size; offset += partBytes) {
          if (step !== this.step) return;
          this.state.value = { is: "sending", name: file.name, sent: before + offset, size };
          const address = addressOf(`${PATH}/${upload}`, { name: file.name, size: file.size, offset });
          await sendPart(address, file.slice(offset, offset + partBytes));
        }
        before += file.size;
      }
    } catch (error) {
      if (step !== this.step) return;
      this.refuse(step, error);
      this.upload = "";
      void this.remove(upload);
      return;
    }
    if (step === this.step) await this.look(options);
  }

  /** Look at the uploaded files again, with what the user says of them. */
  async look(options: Record<string, unknown>): Promise<void> {
    const step = ++this.step;
    this.state.value = { is: "looking" };
    await this.ask(step, options, true);
  }

  /** Make the Feeds that import the files. */
  async importAll(options: Record<string, unknown>): Promise<void> {
    const step = ++this.step;
    this.state.value = { is: "importing" };
    await this.ask(step, options, false);
  }

  /** Forget the files. Those that no Feed reads are removed from the deck. */
  async drop(): Promise<void> {
    const state = this.state.peek();
    this.step += 1;
    this.state.value = { is: "none" };
    if (this.upload !== "" && state.is !== "made" && state.is !== "importing") await this.remove(this.upload);
    this.upload = "";
  }

  get hasUpload(): boolean {
    return this.upload !== "";
  }

  private async ask(step: number, options: Record<string, unknown>, dryRun: boolean): Promise<void> {
    const address = addressOf(`${PATH}/${this.upload}/import`, dryRun ? { dryRun } : {});
    try {
      const found = await send<FileImport>("POST", address, options, undefined, LOOK_TIMEOUT_MS);
      if (step !== this.step) return;
      this.state.value = dryRun ? { is: "looked", found } : { is: "made", feeds: found.feeds.map(nameOf) };
      if (!dryRun) void refreshResources();
    } catch (error) {
      this.refuse(step, error);
    }
  }

  private refuse(step: number, error: unknown): void {
    if (step === this.step) this.state.value = { is: "refused", problems: problemsOf(error) };
  }

  private async limits(): Promise<UploadLimits> {
    const limits = uploadLimits.value ?? (await get<UploadLimits>(PATH));
    if (!limits.accepted) throw new Error(limits.reason);
    return limits;
  }

  /** What cannot be removed now, the deck removes after a time. */
  private async remove(upload: string): Promise<void> {
    await send("DELETE", `${PATH}/${upload}`).catch(() => undefined);
  }
}

/** Send a part; once more after a while where the gateway gets too many requests. */
async function sendPart(address: string, content: Blob): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await sendBytes<UploadedFile>(address, content);
      return;
    } catch (error) {
      if (!(error instanceof RequestError && error.status === TOO_MANY) || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

/** By getRandomValues: randomUUID exists on https:// and the loopback alone. */
const newName = (): string => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const nameOf = (feed: FileImport["feeds"][number]): string => String(feed.metadata["name"]);
