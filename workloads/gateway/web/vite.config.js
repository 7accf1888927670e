import { readFileSync } from "node:fs";
import { defineConfig } from "vite";
import { uplotLanguage } from "./vite.uplot.js";

const gateway = process.env.TAPEDECK_GATEWAY ?? "http://127.0.0.1:8000";
const paths = ["/api", "/history", "/symbols", "/search", "/config", "/time"];
const websocket = "/api/v1/ws";

const text = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

const PACKAGES = [
  "lightweight-charts", "preact", "@preact/signals", "uplot", "@tanstack/table-core", "@tanstack/virtual-core",
  "@codemirror/commands", "@codemirror/lang-yaml", "@codemirror/language", "@codemirror/state", "@codemirror/view", "@lezer/common",
  "@lezer/highlight", "@lezer/lr", "@lezer/yaml", "style-mod", "w3c-keyname", "@marijn/find-cluster-break", "crelt",
];

// The licences of the page's dependencies require that their notices are distributed with it.
const notices = {
  name: "notices",
  generateBundle() {
    const licences = PACKAGES.map((name) => `${name}\n\n${text(`node_modules/${name}/LICENSE`)}`);
    this.emitFile({ type: "asset", fileName: "NOTICE.txt", source: [text("NOTICE.txt"), ...licences].join("\n\n") });
  },
};

// `npx vite` serves the page and forwards requests to the gateway at TAPEDECK_GATEWAY.
export default defineConfig({
  plugins: [notices, uplotLanguage],
  build: { outDir: "../tapedeck_gateway/page", emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
  server: {
    fs: { allow: ["../../.."] }, // the client, which the page shares
    proxy: {
      [websocket]: { target: gateway.replace("http", "ws"), ws: true },
      ...Object.fromEntries(paths.map((path) => [path, gateway])),
    },
  },
});
