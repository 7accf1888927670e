import { defineConfig } from "vite";

// One module that a page of any origin may import, and that the npm package contains: npm run build-datafeed.
export default defineConfig({
  publicDir: false,
  build: {
    lib: { entry: "../../../client/js/src/index.ts", formats: ["es"], fileName: () => "datafeed.js" },
    outDir: "../../../client/js/dist",
    target: "es2022",
  },
});
