import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores(["node_modules", "src/data/api.ts"]),
  js.configs.recommended,
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      eqeqeq: "error",
    },
  },
  {
    files: ["src/**/*.ts", "src/**/*.tsx"],
    ignores: ["src/text.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        ...[
          "AssignmentExpression[left.property.name=/^(textContent|innerText|innerHTML|outerHTML|title|label)$/]",
          "NewExpression[callee.name='Option']",
          "CallExpression[callee.property.name=/^(createTextNode|insertAdjacentHTML|insertAdjacentText)$/]",
          "JSXAttribute[name.name='dangerouslySetInnerHTML']",
        ].map((selector) => ({ selector, message: "Text reaches the page by Preact or text.ts, which clean it." })),
      ],
    },
  },
  { files: ["*.js"], languageOptions: { globals: { process: "readonly", URL: "readonly" } } },
);
