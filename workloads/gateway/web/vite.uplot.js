// uPlot asks the browser for its language while it loads. WebKit calls the language of a system that has none "C", which Intl
// refuses: no page would be drawn. The page writes all its numbers in one language, so those of the plots are in it too.
const ASKED = "domEnv ? nav.language : 'en-US'";

export const uplotLanguage = {
  name: "uplot-language",
  transform(code, id) {
    if (!/\/uplot\/dist\/.*\.js$/.test(id)) return null;
    if (code.split(ASKED).length !== 2) this.error(`uplot: expected ${ASKED} once in ${id}: adapt vite.uplot.js`);
    return { code: code.replace(ASKED, "'en-US'"), map: null };
  },
};
