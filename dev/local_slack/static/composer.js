// Where one writes: messages, and commands with their list. A command in a thread is sent all the same, and
// Slack refuses it in its own words.
import { $, $$, act, me, node, t } from "./dom.js";

let shared = { commands: [], people: [] };

export const know = (found) => (shared = found);

export class Composer {
  constructor(form, { where, commands }) {
    this.where = where;
    this.commands = commands;
    this.list = node("div", "", { role: "listbox", "aria-label": t("Commands"), hidden: "", id: `${form.id}-commands` });
    this.box = node("textarea", "", { rows: "1", spellcheck: "false" });
    this.send = node("button", "➤", { class: "send", "aria-label": t("Send"), disabled: "" });
    if (commands) this.box.setAttribute("aria-controls", this.list.id);
    form.replaceChildren(this.list, this.box, this.send);
    form.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.box.addEventListener("input", () => this.typed());
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("blur", () => setTimeout(() => (this.list.hidden = true), 150));
    this.list.addEventListener("click", (event) => this.pick(event.target.closest("[role=option]")));
  }

  name(words) {
    this.box.placeholder = words;
    this.box.setAttribute("aria-label", words);
  }

  typed() {
    this.send.disabled = this.box.value.trim() === "";
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight, 200)}px`;
    if (this.commands) this.suggest();
  }

  suggest() {
    const [word, ...rest] = this.box.value.split(" ");
    const fits = (command) => (rest.length ? command.name === word : command.name.startsWith(word));
    const found = word.startsWith("/") ? shared.commands.filter(fits) : [];
    this.list.replaceChildren(...found.map((command, n) => {
      const row = node("div", "", { role: "option", "aria-selected": String(n === 0), id: `${this.list.id}-${n}` });
      row.append(node("b", command.name), " ", node("code", command.hint), node("small", command.description));
      row.dataset.name = command.name;
      return row;
    }));
    this.list.hidden = !found.length;
  }

  get picked() {
    return this.list.hidden ? null : $("[aria-selected=true]", this.list);
  }

  key(event) {
    const rows = this.list.hidden ? [] : $$("[role=option]", this.list);
    const at = rows.indexOf(this.picked);
    if (rows.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const next = (at + (event.key === "ArrowDown" ? 1 : -1) + rows.length) % rows.length;
      rows.forEach((row, n) => row.setAttribute("aria-selected", String(n === next)));
    } else if (rows.length && event.key === "Tab") {
      this.pick(rows[at]);
    } else if (event.key === "Escape" && rows.length) {
      this.list.hidden = true;
    } else if (event.key === "Enter" && !event.shiftKey) {
      const word = this.box.value.split(" ")[0];
      if (this.picked && this.picked.dataset.name !== word) this.pick(this.picked);
      else this.submit();
    } else {
      return;
    }
    event.preventDefault();
  }

  pick(row) {
    if (!row) return;
    this.box.value = `${row.dataset.name} `;
    this.box.focus();
    this.typed();
  }

  async submit() {
    const text = this.box.value;
    if (!text.trim()) return;
    this.box.value = "";
    this.typed();
    this.list.hidden = true;
    const body = { user: me, ...this.where() };
    if (text.startsWith("/")) await act("command", { ...body, line: text });
    else await act("say", { ...body, text: written(text.trim()) });
  }
}

// As Slack's client sends it: its three characters escaped, people by their ids.
function written(text) {
  const escaped = text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const ids = new Map(shared.people.map((person) => [person.handle, person.id]));
  return escaped.replace(/@([a-z0-9._-]+)/g, (whole, handle) => (ids.has(handle) ? `<@${ids.get(handle)}>` : whole));
}
