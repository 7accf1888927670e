// The form that asks for a token, shown while the gateway refuses requests without one.
import { currentToken, keepToken } from "./token";

export class Login {
  constructor(private readonly form: HTMLFormElement) {
    form.onsubmit = (event) => {
      event.preventDefault();
      keepToken(this.form.querySelector("input")?.value ?? "");
      location.reload();
    };
  }

  show(): void {
    if (!this.form.hidden) return;
    this.form.hidden = false;
    const note = this.form.querySelector("p");
    if (note !== null)
      note.textContent =
        currentToken() === "" ? "This gateway asks for a token." : "The gateway does not know this token. Enter another one.";
    this.form.querySelector("input")?.focus();
  }
}
