// The form that asks for a token, shown while the gateway refuses requests without one.
import { setText } from "./text";
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
    const unknown = "The gateway does not know this token. Enter another one.";
    if (note !== null) setText(note, currentToken() === "" ? "This gateway asks for a token." : unknown);
    this.form.querySelector("input")?.focus();
  }
}
