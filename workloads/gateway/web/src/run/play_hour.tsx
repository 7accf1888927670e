// A button that plays an hour at once, and beside it the way to the form. An hour without a bar is not offered.
import { useEffect, useState } from "preact/hooks";
import { messageOf } from "../data/request";
import { AddressLink } from "../shell/router";
import { type Hour, hourAddress, isEmptyHour, isMakingHour, NO_BARS, playHour, SPEED } from "./hour";

/** ``what``: such as Play. */
export function PlayHour({ hour, what }: { hour: Hour; what: string }) {
  const isEmpty = useEmpty(hour);
  const [problem, setProblem] = useState("");
  const play = () => {
    setProblem("");
    playHour(hour).catch((error: unknown) => setProblem(messageOf(error)));
  };
  return (
    <span class="play-hour">
      <button type="button" onClick={play} disabled={isEmpty || isMakingHour.value} title={isEmpty ? NO_BARS : undefined}>
        {`${what} at ${SPEED}×`}
      </button>
      {isEmpty ? <small>{NO_BARS}</small> : <AddressLink address={hourAddress(hour)}>Change first…</AddressLink>}
      {problem !== "" && <span role="alert" class="stale">{problem}</span>}
    </span>
  );
}

/** Whether the store is known to have no bar of an hour. */
function useEmpty(hour: Hour): boolean {
  const [isEmpty, setEmpty] = useState(false);
  const { exchange, symbols, interval, end } = hour;
  useEffect(() => {
    let isWanted = true;
    setEmpty(false);
    void isEmptyHour(hour).then((found) => {
      if (isWanted) setEmpty(found);
    });
    return () => {
      isWanted = false;
    };
  }, [exchange, symbols.join(), interval, end]);
  return isEmpty;
}
