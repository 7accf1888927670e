// The question before a seek that ends runs.
import { Modal } from "../shell/modal";
import { answer, asked } from "./seeks";

export function SeekDialog() {
  const request = asked.value;
  if (request === null) return null;
  const names = request.runs.map(({ backtest }) => backtest.metadata.name);
  const [runs, them] = names.length === 1 ? ["the run", "it"] : [`${names.length} runs`, "them"];
  return (
    <Modal title={`This seek ends ${runs}`} onClose={() => void answer("cancel")}>
      <p>
        A run trades one pass of a replay: after a seek it fails, and keeps what it has reached. Running on this replay:
      </p>
      <ul>
        {names.map((name) => (
          <li key={name}>{name}</li>
        ))}
      </ul>
      <div class="choices">
        <button class="primary" onClick={() => void answer("restart")}>
          {`Seek and restart ${them}`}
        </button>
        <button onClick={() => void answer("seek")}>Seek</button>
        <button onClick={() => void answer("cancel")}>Cancel</button>
      </div>
    </Modal>
  );
}
