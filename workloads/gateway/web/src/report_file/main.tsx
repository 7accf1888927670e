// The report of a run as a file that opens without a server: the components of the page, with the data inside.
import { render } from "preact";
import { time } from "../format";
import { Report } from "../run/report";
import { partsOfDocument } from "../run/run_parts";
import { choose, tradeNumber } from "../run/selection";
import "../run/run.css";
import type { RunDocument } from "../run/types";
import { watchScreen } from "../shell/screen";
import { watchTheme } from "../shell/theme";
import "../style/page.css";
import { cleanDrawnText, setText } from "../text";

export const DATA_ID = "run-document";

export function ReportFile({ document: found }: { document: RunDocument }) {
  return (
    <main class="view run-view">
      <Report parts={partsOfDocument(found)} chosen={tradeNumber.value} choose={({ seq }) => choose({ trade: String(seq) })} />
      <footer class="note">{`Tapedeck ${found.inputs.version}, saved ${time(found.made_at)} UTC. All times are UTC.`}</footer>
    </main>
  );
}

/** Draw the report that the page's script element of data has. */
export function start(): void {
  const [data, place] = [document.getElementById(DATA_ID), document.getElementById("page")];
  if (data === null || place === null) throw new Error(`report: got no #${DATA_ID} or no #page, expected both`);
  const found = JSON.parse(data.textContent ?? "") as RunDocument;
  const title = document.querySelector("title");
  if (title !== null) setText(title, `${found.report.name}: report`);
  cleanDrawnText();
  watchTheme();
  watchScreen();
  render(<ReportFile document={found} />, place);
}

start();
