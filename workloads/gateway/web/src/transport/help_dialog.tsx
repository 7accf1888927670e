// The keys of the Deck, as a table.
import { Modal } from "../shell/modal";
import { dialog } from "./actions";
import { KEYS } from "./keys";

export function HelpDialog() {
  return (
    <Modal title="Keys" onClose={() => (dialog.value = null)}>
      <table>
        <tbody>
          {KEYS.map(({ shown, what }) => (
            <tr key={what}>
              <td>
                <kbd>{shown}</kbd>
              </td>
              <td>{what}</td>
            </tr>
          ))}
          <tr>
            <td>
              <kbd>Shift click</kbd>
            </td>
            <td>Play from a bar of the chart</td>
          </tr>
        </tbody>
      </table>
      <p class="note">
        Charts by{" "}
        <a href="https://www.tradingview.com/" rel="noopener" target="_blank">
          TradingView
        </a>{" "}
        Lightweight Charts™, Copyright © 2025 TradingView, Inc. · <a href="/NOTICE.txt">notices</a>
      </p>
    </Modal>
  );
}
