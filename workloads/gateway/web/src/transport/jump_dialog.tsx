// Go to a date: a time within the range of the replay, in UTC. What has ended is not sought: the hour from there is played.
import { useSignal } from "@preact/signals";
import { position } from "../deck/replay_state";
import { replay } from "../deck/selection";
import { time } from "../format";
import { Modal } from "../shell/modal";
import { parseTime } from "../written_time";
import { dialog, noControls } from "./actions";
import { canPlayHour, changeHourFrom, playHourFrom } from "./hour_from";
import { seek } from "./seeks";

export function JumpDialog() {
  const shown = replay.value;
  const text = useSignal(time(position.value ?? shown?.range_from ?? null));
  const problem = useSignal("");
  const close = () => (dialog.value = null);
  if (shown === null) return null;
  const go = (playFrom: (ts: number) => void) => (event: Event) => {
    event.preventDefault();
    const ts = parseTime(text.value);
    const refusal = canPlayHour.peek() ? null : noControls.peek(); // the replay may have ended since the dialog was opened
    if (refusal !== null) problem.value = refusal;
    else if (ts === null) problem.value = `time: got ${text.value}, expected one like 2018-04-04 12:30`;
    else if (ts < shown.range_from || ts > shown.range_to)
      problem.value = `time: got ${text.value}, expected one from ${time(shown.range_from)} to ${time(shown.range_to)}`;
    else {
      close();
      if (canPlayHour.peek()) playFrom(ts);
      else void seek(ts);
    }
  };
  return (
    <Modal title={canPlayHour.value ? "Play the hour from a date (UTC)" : "Go to a date (UTC)"} onClose={close}>
      <form onSubmit={go(playHourFrom)}>
        <label>
          Time{" "}
          <input id="jump" value={text.value} onInput={({ currentTarget }) => (text.value = currentTarget.value)} autofocus />
        </label>
        {problem.value !== "" && <p class="down" role="alert">{problem.value}</p>}
        <div class="choices">
          <button class="primary">Go</button>
          {canPlayHour.value && <button type="button" onClick={go(changeHourFrom)}>Change first…</button>}
          <button type="button" onClick={() => (text.value = time(shown.range_from))}>
            Start of the range
          </button>
          <button type="button" onClick={close}>
            Cancel
          </button>
        </div>
      </form>
    </Modal>
  );
}
