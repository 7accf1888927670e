import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig } from "vite";
import { uplotLanguage } from "./vite.uplot.js";

const PLACE = "__RUN_DOCUMENT__"; // the gateway puts the data there
const PACKAGES = ["preact", "@preact/signals", "uplot", "@tanstack/table-core", "@tanstack/virtual-core"];
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

/** The licences of the packages require that their notices are distributed with them. */
const licences = () => PACKAGES.map((name) => `${name}\n\n${read(`node_modules/${name}/LICENSE`)}`).join("\n\n");

/** One file of script and style: it opens without a server, asks for nothing, and runs no other script. */
function page(script, style) {
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src 'unsafe-inline'; img-src data:`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Report</title>
<style>${style}</style>
</head>
<body>
<div id="page"></div>
<script type="application/json" id="run-document">${PLACE}</script>
<script>${script}</script>
<script type="text/plain" id="licences">
${licences()}
</script>
</body>
</html>
`;
}

const oneFile = {
  name: "one-file",
  enforce: "post", // after Vite has made the style sheet
  generateBundle(_options, bundle) {
    const files = Object.values(bundle);
    const script = files.find((file) => file.type === "chunk").code.replaceAll("</script", "<\\/script").trim();
    const style = files.filter((file) => file.fileName.endsWith(".css")).map(({ source }) => source).join("\n");
    if (script.includes(PLACE) || style.includes("</style")) this.error(`report: got ${PLACE} or </style in the code`);
    if (!style.includes(".report")) this.error("report: got no style sheet, expected that of run.css");
    for (const name of Object.keys(bundle)) delete bundle[name];
    this.emitFile({ type: "asset", fileName: "report.html", source: page(script, style) });
  },
};

// The report of a run as one file: `GET /api/v1/runs/{id}/report.html` fills in the data.
export default defineConfig({
  plugins: [oneFile, uplotLanguage],
  build: {
    outDir: "../tapedeck_gateway/page",
    emptyOutDir: false,
    target: "es2022",
    cssCodeSplit: false,
    copyPublicDir: false,
    rollupOptions: { input: "src/report_file/main.tsx", output: { format: "iife" } },
  },
});
