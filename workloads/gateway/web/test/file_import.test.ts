// The import of files: what is sent part by part, what the gateway says of them, and what becomes of a step that is overtaken.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { tokenRequired } from "../src/data/request";
import { FileImporter, IMPORT_FIELDS, optionsOf, uploadLimits } from "../src/new/file_import";
import { problemsAt } from "../src/new/apply";

interface Asked {
  method: string;
  path: string;
  query: Record<string, string>;
  size: number;
}

const FOUND = { files: [], warnings: [], errors: [], skipped: [], feeds: [] };
const PART = 10;
let asked: Asked[] = [];

/** A gateway that answers each request by `answers`, by method and the end of the path. */
function gateway(answers: Record<string, (asked: Asked) => [number, unknown]>) {
  const limits = { accepted: true, reason: "", fileBytes: 1_000, partBytes: PART, keptSeconds: 3_600 };
  vi.stubGlobal("fetch", (address: string, sent: { method: string; body?: string | Blob }) => {
    const { pathname, searchParams } = new URL(address, "http://deck");
    const size = sent.body === undefined ? 0 : typeof sent.body === "string" ? sent.body.length : sent.body.size;
    const one = { method: sent.method, path: pathname, query: Object.fromEntries(searchParams), size };
    asked.push(one);
    const kind = sent.method === "GET" ? "limits" : sent.method === "DELETE" ? "delete" : pathname.endsWith("/import") ? "import" : "part";
    const [status, body] = (answers[kind] ?? (() => [200, kind === "limits" ? limits : FOUND]))(one);
    return Promise.resolve(new Response(status === 204 ? null : JSON.stringify(body), { status }));
  });
}

const file = (name: string, size: number) => new File(["x".repeat(size)], name);

beforeEach(() => {
  asked = [];
  vi.stubGlobal("sessionStorage", { getItem: () => "t" });
  tokenRequired.value = null;
});
afterEach(() => vi.unstubAllGlobals());

describe("an upload", () => {
  it("is sent in parts of at most as many bytes as a request may have, and looked at", async () => {
    gateway({});
    const importer = new FileImporter();
    const seen: number[] = [];
    importer.state.subscribe((state) => state.is === "sending" && seen.push(state.sent));
    await importer.take([file("a.csv", 25), file("b.csv", 10)], { exchange: "x" });
    const parts = asked.filter(({ method, path }) => method === "POST" && !path.endsWith("/import"));
    expect(parts.map(({ query, size }) => [query["name"], query["size"], query["offset"], size])).toEqual([
      ["a.csv", "25", "0", 10], ["a.csv", "25", "10", 10], ["a.csv", "25", "20", 5], ["b.csv", "10", "0", 10],
    ]);
    expect(new Set(parts.map(({ path }) => path)).size).toBe(1);
    expect(seen).toEqual([0, 10, 20, 25]);
    expect(asked.at(-1)).toMatchObject({ method: "POST", query: { dryRun: "1" } });
    expect(importer.state.value).toEqual({ is: "looked", found: FOUND });
  });

  it("that is too large or empty is refused before a byte is sent", async () => {
    gateway({});
    const importer = new FileImporter();
    for (const size of [1_001, 0]) {
      await importer.take([file("a.csv", size)], {});
      expect(importer.state.value).toMatchObject({ is: "refused" });
    }
    expect(asked.filter(({ method }) => method === "POST")).toEqual([]);
  });

  it("that fails is removed, and says why", async () => {
    gateway({ part: ({ query }) => (query["offset"] === "0" ? [201, {}] : [507, { detail: "the deck's disk is full" }]) });
    const importer = new FileImporter();
    await importer.take([file("a.csv", 25)], {});
    expect(importer.state.value).toEqual({ is: "refused", problems: [{ field: "", message: "the deck's disk is full" }] });
    expect(asked.at(-1)?.method).toBe("DELETE");
    expect(importer.hasUpload).toBe(false);
  });

  it("waits where the gateway gets too many requests", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    let refused = 0;
    gateway({ part: () => (++refused < 3 ? [429, { detail: "too many" }] : [201, {}]) });
    const importer = new FileImporter();
    const taken = importer.take([file("a.csv", 5)], {});
    await vi.waitFor(async () => {
      await vi.advanceTimersByTimeAsync(1_000);
      expect(importer.state.value.is).toBe("looked");
    });
    await taken;
    vi.useRealTimers();
    expect(asked.filter(({ path, method }) => method === "POST" && !path.endsWith("/import"))).toHaveLength(3);
  });

  it("without a token asks for one", async () => {
    gateway({ part: () => [401, { detail: "token: got none" }] });
    await new FileImporter().take([file("a.csv", 5)], {});
    expect(tokenRequired.value).toBe("changes");
  });

  it("that is cancelled sends nothing more, and is removed", async () => {
    const importer = new FileImporter();
    gateway({
      part: () => {
        void importer.drop();
        return [201, {}];
      },
    });
    await importer.take([file("a.csv", 25)], {});
    expect(asked.filter(({ path, method }) => method === "POST" && !path.endsWith("/import"))).toHaveLength(1);
    expect(importer.state.value).toEqual({ is: "none" });
    expect(asked.at(-1)?.method).toBe("DELETE");
  });
});

describe("an import", () => {
  it("names what is wrong at its field, and the Feeds that it made", async () => {
    const feeds = [{ apiVersion: "", kind: "Feed", metadata: { name: "import-1" }, spec: {} }];
    let isWrong = true;
    gateway({ import: ({ query }) => (isWrong ? [400, { detail: "symbol: got 'x y', expected a symbol" }] : query["dryRun"] ? [200, FOUND] : [201, { ...FOUND, feeds }]) });
    const importer = new FileImporter();
    await importer.take([file("a.csv", 5)], { symbol: "x y" });
    const { value } = importer.state;
    expect(value.is === "refused" && problemsAt(value.problems, "symbol").map(({ message }) => message)).toEqual(["got 'x y', expected a symbol"]);
    isWrong = false;
    await importer.look({ symbol: "X/Y" });
    await importer.importAll({ symbol: "X/Y" });
    expect(importer.state.value).toEqual({ is: "made", feeds: ["import-1"] });
    await importer.drop(); // the Feed reads the files
    expect(asked.map(({ method }) => method)).not.toContain("DELETE");
  });

  it("shows the answer to the last question alone", async () => {
    const importer = new FileImporter();
    gateway({});
    await importer.take([file("a.csv", 5)], {});
    const late = importer.look({ exchange: "early" });
    gateway({ import: () => [200, { ...FOUND, warnings: ["late"] }] });
    await Promise.all([importer.look({ exchange: "late" }), late]);
    expect(importer.state.value).toEqual({ is: "looked", found: { ...FOUND, warnings: ["late"] } });
  });
});

describe("the options", () => {
  it("are what is written in the fields, columns by their numbers", () => {
    expect(optionsOf({})).toEqual({});
    expect(optionsOf({ exchange: " x ", interval: "", unit: "ms", columns: "ts, open,-,close" })).toEqual({
      exchange: "x", unit: "ms", columns: { ts: 1, open: 2, close: 4 },
    });
    expect(IMPORT_FIELDS.every(({ id, path }) => id === path)).toBe(true);
  });
});

it("says on a cluster why it takes no files", async () => {
  gateway({ limits: () => [200, { accepted: false, reason: "this gateway takes no files", fileBytes: 0, partBytes: 0, keptSeconds: 0 }] });
  await uploadLimits.refresh();
  const importer = new FileImporter();
  await importer.take([file("a.csv", 5)], {});
  expect(importer.state.value).toEqual({ is: "refused", problems: [{ field: "", message: "this gateway takes no files" }] });
});
