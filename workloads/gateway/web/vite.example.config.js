import { defineConfig } from "vite";

// The example page of the datafeed. `npm run example` serves it beside the gateway at TAPEDECK_GATEWAY.
const gateway = process.env.TAPEDECK_GATEWAY ?? "http://127.0.0.1:8750";
const routes = ["/config", "/time", "/symbols", "/symbol_info", "/search", "/history", "/marks", "/timescale_marks", "/quotes"];
const packages = new URL("node_modules/", import.meta.url).pathname;

export default defineConfig({
  root: "../../../client/js/example",
  base: "./",
  resolve: { alias: { "lightweight-charts": `${packages}lightweight-charts` } },
  build: { outDir: "../dist/example", emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
  server: {
    fs: { allow: ["../../.."] },
    proxy: {
      ...Object.fromEntries(routes.map((path) => [path, gateway])),
      "/api/v1/ws": { target: gateway.replace("http", "ws"), ws: true },
    },
  },
});
