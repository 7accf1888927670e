// YAML that can be edited: a plain field until the editor is loaded, and where it cannot be.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Editor } from "./code_mirror";

const LABEL = "YAML of the resource";

export function YamlEditor({ text, onEdit }: { text: string; onEdit: (text: string) => void }) {
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const [isOpen, setOpen] = useState(false);
  const given = useRef({ text, onEdit });
  given.current = { text, onEdit };
  useEffect(() => {
    let isHere = true;
    const opened = import("./code_mirror").then(({ openEditor }) => {
      if (!isHere || place.current === null) return;
      editor.current = openEditor(place.current, given.current.text, LABEL, (edited) => given.current.onEdit(edited));
      setOpen(true);
    });
    opened.catch(() => undefined); // the plain field stays
    return () => {
      isHere = false;
      editor.current?.close();
    };
  }, []);
  useEffect(() => editor.current?.show(text), [text]);
  return (
    <div class="yaml">
      <div ref={place} />
      {!isOpen && (
        <textarea aria-label={LABEL} spellcheck={false} rows={24} value={text} onInput={({ currentTarget }) => onEdit(currentTarget.value)} />
      )}
    </div>
  );
}
