// A dialog over the page: the browser keeps the focus in it, closes it by Escape, and gives the focus back.
import { signal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { tokenRequired } from "../data/request";

/** How many dialogs are open: they have the keys of the page. */
export const openModals = signal(0);

interface ModalProps {
  title: string;
  class?: string;
  onClose: () => void;
  children: ComponentChildren;
}

export function Modal({ title, onClose, children, class: name }: ModalProps) {
  const element = useRef<HTMLDialogElement>(null);
  // The browser tells of the close of a dialog that was taken away only later, when another may be open.
  const gone = useRef(false);
  useLayoutEffect(() => {
    openModals.value = openModals.peek() + 1;
    return () => {
      gone.current = true;
      openModals.value = openModals.peek() - 1;
    };
  }, []);
  useEffect(() => {
    const { current } = element;
    if (current?.open === false) current.showModal();
    return () => current?.close();
  }, []);
  // The form that asks for a token is below every dialog, and takes no key while one is open.
  useSignalEffect(() => {
    if (tokenRequired.value !== null) onClose();
  });
  const closed = () => {
    if (!gone.current) onClose();
  };
  const clickOutside = (event: MouseEvent) => {
    if (event.target === element.current) onClose();
  };
  return (
    <dialog ref={element} class={name} aria-label={title} onClose={closed} onClick={clickOutside}>
      <div class="content">
        <h2>{title}</h2>
        {children}
        <button type="button" class="quiet close" aria-label="Close" title="Close (Esc)" onClick={onClose}>×</button>
      </div>
    </dialog>
  );
}
