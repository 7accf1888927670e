// The page's WebSocket over a fake one: its states, messages without a subscription, and refusals.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "../../../../client/js/src/connection";
import { BACKOFF_MS, type Message, type Request, Socket } from "../../../../client/js/src/socket";
import { connectionStatus } from "../src/data/gateway_socket";
import { FakeWebSocket } from "./fake_socket";

const newest = (): FakeWebSocket => FakeWebSocket.newest();
const welcome = (session = "first") => newest().receive({ type: "welcome", seq: 1, session, limits: { ping_seconds: 15 } });

beforeEach(() => {
  FakeWebSocket.opened = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.spyOn(Math, "random").mockReturnValue(1); // the longest delay
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function opened() {
  const states: string[] = [];
  const messages: Message[] = [];
  const refused: [Request, unknown][] = [];
  const socket = new Socket(new Connection({ url: "https://deck.example", token: "a-token" }), {
    keepOpen: true,
    onState: (state) => void states.push(state),
    onMessage: (message) => void messages.push(message),
    onRefused: (request, message) => void refused.push([request, message["detail"]]),
  });
  return { socket, states, messages, refused };
}

describe("a socket that is kept open", () => {
  it("opens at once, says how it is, and passes on what belongs to no subscription", () => {
    const { states, messages } = opened();
    expect(newest().url).toBe("wss://deck.example/api/v1/ws");
    newest().open();
    welcome();
    newest().receive({ type: "services", seq: 2, broker: true, database: false });
    expect(states).toEqual(["connecting", "live"]);
    expect(messages).toEqual([{ type: "services", seq: 2, broker: true, database: false }]);
  });

  it("stays open without a subscription", () => {
    const { socket } = opened();
    newest().open();
    welcome();
    socket.unsubscribe(socket.subscribe({ channel: "replay", replay: "default/tape" }, () => undefined));
    expect(newest().closed).toBeUndefined();
    expect(newest().sent).toEqual([
      { type: "subscribe", id: "s1", channel: "replay", replay: "default/tape" },
      { type: "unsubscribe", id: "s1" },
    ]);
  });

  it("is lost until it has been welcomed again, and then resumes", () => {
    const { states } = opened();
    newest().open();
    welcome();
    newest().drop();
    vi.advanceTimersByTime(BACKOFF_MS[0]);
    expect(states).toEqual(["connecting", "live", "lost", "lost"]);
    newest().open();
    welcome("second");
    expect(newest().sent).toEqual([{ type: "resume", session: "first", seq: 1 }]);
    expect(states.at(-1)).toBe("live");
  });

  it("reports what the gateway refuses for good, with the request", () => {
    const { socket, refused } = opened();
    newest().open();
    welcome();
    socket.subscribe({ channel: "run", run: "r1" }, () => undefined);
    newest().receive({ type: "error", seq: 2, id: "s1", reason: "NotFound", detail: "run_id: got 'r1'" });
    expect(refused).toEqual([[{ channel: "run", run: "r1" }, "run_id: got 'r1'"]]);
  });
});

describe("the status of the connection", () => {
  const services = (broker: boolean, database: boolean) => ({ broker, database });
  it.each([
    ["live", services(true, true), { state: "live", text: "live" }],
    ["live", services(false, true), { state: "partial", text: "no broker" }],
    ["live", services(true, false), { state: "partial", text: "no database" }],
    ["live", services(false, false), { state: "partial", text: "no broker, no database" }],
    ["live", null, { state: "connecting", text: "connecting" }],
    ["connecting", null, { state: "connecting", text: "connecting" }],
    ["lost", services(true, true), { state: "lost", text: "reconnecting" }],
  ] as const)("%s with %o", (socket, known, status) => expect(connectionStatus(socket, known)).toEqual(status));
});
