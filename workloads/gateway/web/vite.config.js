import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

const gateway = process.env.TAPEDECK_GATEWAY ?? "http://127.0.0.1:8000";
const paths = ["/api", "/history", "/symbols", "/search", "/config", "/time"];

const text = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

// The licences of the page's dependencies require that their notices are distributed with it.
const notices = {
  name: "notices",
  generateBundle() {
    const source = `${text("NOTICE.txt")}\n\n${text("node_modules/lightweight-charts/LICENSE")}`;
    this.emitFile({ type: "asset", fileName: "NOTICE.txt", source });
  },
};

// `npx vite` serves the page and forwards requests to the gateway at TAPEDECK_GATEWAY.
export default defineConfig({
  plugins: [notices],
  build: { outDir: "../tapedeck_gateway/page", emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
  server: {
    proxy: { ...Object.fromEntries(paths.map((path) => [path, gateway])), "/ws": gateway.replace("http", "ws") },
  },
});
