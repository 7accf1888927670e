// The editor of YAML, which the page loads when it is first shown.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const THEME = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--ground)", minHeight: "300px", maxHeight: "70vh" },
  ".cm-gutters": { color: "var(--muted)", backgroundColor: "var(--panel)", borderRight: "1px solid var(--line)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--raised)",
  },
  ".cm-scroller": { fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, monospace', fontSize: "12px", lineHeight: "1.5" },
});

const COLORS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--series1)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--up)" },
  { tag: tags.comment, color: "var(--muted)" },
]);

/** Text in place of a selection: the browser would copy the style of what it removes, which the page's policy refuses. */
const REPLACING = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const isText = event.inputType === "insertText" && !event.isComposing && event.data !== null;
    if (!isText || view.state.selection.main.empty) return false;
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type" });
    event.preventDefault();
    return true;
  },
});

export interface Editor {
  show: (text: string) => void;
  close: () => void;
}

/**
 * Tab leaves the editor, so that who uses the keyboard alone is not held in it. The editor is in a shadow tree: there its
 * styles are objects; as elements of the page the gateway's Content-Security-Policy refuses them.
 */
export function openEditor(parent: HTMLElement, text: string, label: string, onEdit: (text: string) => void): Editor {
  let isShown = false; // by `show`, not written by the user
  const root = parent.attachShadow({ mode: "open" });
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        keymap.of([...defaultKeymap, ...historyKeymap]),
        yaml(),
        syntaxHighlighting(COLORS),
        THEME,
        REPLACING,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !isShown) onEdit(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    show: (shown) => {
      if (view.state.doc.toString() === shown) return;
      isShown = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: shown } });
      isShown = false;
    },
    close: () => view.destroy(),
  };
}
