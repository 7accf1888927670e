// The question before a resource is deleted, and its deletion.
import { signal, useSignal } from "@preact/signals";
import { messageOf, send } from "../data/request";
import { refreshResources } from "../data/resources";
import type { Resource } from "../data/types";
import { Modal } from "../shell/modal";

/** The resource that is asked about; null for none. */
export const doomed = signal<Resource | null>(null);

/** What goes with a resource, and what stays. */
const CONSEQUENCES: Readonly<Record<Resource["kind"], string>> = {
  Feed: "It loads no more bars. Those of the store stay.",
  Replay: "It ends where it is, and cannot be played again. Stored bars and the results of runs stay.",
  Backtest: "It ends where it is. Its results stay, and can be compared.",
};

export const DeleteDialog = () => (doomed.value === null ? null : <Question resource={doomed.value} key={doomed.value.metadata.uid} />);

function Question({ resource: { kind, metadata: { name, namespace } } }: { resource: Resource }) {
  const problem = useSignal("");
  const isSent = useSignal(false);
  const close = () => (doomed.value = null);
  const remove = async () => {
    if (isSent.value) return;
    isSent.value = true;
    try {
      await send("DELETE", `/api/v1/namespaces/${namespace}/${kind.toLowerCase()}s/${name}`);
      close();
      await refreshResources();
    } catch (error) {
      problem.value = messageOf(error);
    } finally {
      isSent.value = false;
    }
  };
  return (
    <Modal title={`Delete ${kind} ${name}?`} onClose={close}>
      <p>{CONSEQUENCES[kind]}</p>
      {problem.value !== "" && <p class="down" role="alert">{problem.value}</p>}
      <div class="choices">
        <button onClick={close}>Keep it</button>
        <button class="down" disabled={isSent.value} onClick={() => void remove()}>Delete it</button>
      </div>
    </Modal>
  );
}
