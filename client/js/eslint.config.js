import page from "../../workloads/gateway/web/eslint.config.js";

export default [{ ignores: ["dist"] }, ...page].map((each) =>
  each.languageOptions?.parserOptions === undefined
    ? each
    : { ...each, languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } } },
);
