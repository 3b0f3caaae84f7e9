// Under the hood: what went over the wire, and what may go wrong next.
import { $, $$, act, fragment, me, node, t } from "./dom.js";

const KEPT = 400;
let documented = { own: {}, common: [] };

export function log(row) {
  const made = fragment(row).firstElementChild;
  const old = document.getElementById(made.id);
  if (old) {
    made.open = old.open;
    old.replaceWith(made);
    return;
  }
  const box = made.id.startsWith("call-") ? $("#hood-calls") : $("#hood-sockets");
  box.prepend(made);
  if (box.childElementCount > KEPT) box.lastElementChild.remove();
}

export function showFaults(html) {
  $("#faults").replaceChildren(fragment(html));
}

// What the fields offer: methods, documented errors, and whose response URLs there are.
export function know({ methods, errors, people }) {
  const usual = ["chat.postMessage", "chat.update", "pins.add", "pins.remove", "users.info", "usergroups.users.list",
    "views.open", "views.publish", "conversations.history", "files.completeUploadExternal", "upload", "*"];
  const all = [...new Set([...methods, ...usual])].sort();
  $("#methods").replaceChildren(...all.map((name) => node("option", "", { value: name })));
  documented = errors;
  offerErrors();
  $("#refusal").elements.user.append(...people.map(({ id, name }) => node("option", name, { value: id })));
}

export function knowPlaces() {
  const { channel } = $("#fault").elements;
  const places = $$("#sidebar [data-channel]").map((each) => [each.dataset.channel, each.textContent]);
  const chosen = channel.value;
  channel.replaceChildren(channel.options[0], ...places.map(([id, name]) => node("option", name, { value: id })));
  channel.value = chosen;
}

function offerErrors() {
  const { method, error } = $("#fault").elements;
  const chosen = error.value || "internal_error";
  const groups = [[method.value, documented.own[method.value] ?? []], [t("any method"), documented.common]];
  error.replaceChildren(...groups.filter(([, names]) => names.length).map(([label, names]) => {
    const group = node("optgroup", "", { label });
    group.append(...names.map((name) => node("option", name)));
    return group;
  }));
  error.value = chosen;
  if (!error.value) error.value = "internal_error";
}

function adjust(form) {
  const { kind, times, always } = form.elements;
  for (const each of $$("[data-kinds]", form)) each.hidden = !each.dataset.kinds.split(" ").includes(kind?.value);
  times.disabled = always.checked;
}

const newestPinned = () => $$("#list .pinned").at(-1)?.dataset.ts;
const often = ({ times, always }) => (always.checked ? null : Number(times.value));

function faultOf(form) {
  const { method, kind, error, other, seconds, channel, message } = form.elements;
  const wait = Number(seconds.value);
  const goesWrong = {
    error: { error: other.value.trim() || error.value },
    429: { status: 429, retry_after: wait || 1 },
    500: { status: 500 },
    drop: { accept_then_drop: true },
    slow: { delay: wait },
    hang: { hang: true },
    late: { applied_after: wait, hang: true },
    "late-500": { applied_after: wait, status: 500 },
  };
  const match = channel.value ? { channel: channel.value } : {};
  if (message.value === "pinned") Object.assign(match, { channel: document.body.dataset.channel, ts: newestPinned() ?? "" });
  return { method: method.value, ...goesWrong[kind.value], times: often(form.elements), match };
}

function refusalOf(form) {
  const { refusal, user } = form.elements;
  const [status, error] = refusal.value.split(" ");
  const fault = { method: "response_url", status: Number(status), error, times: often(form.elements) };
  return { ...fault, match: user.value ? { user: user.value } : {} };
}

function fate(button) {
  const channel = document.body.dataset.channel;
  const message = button.closest("[data-ts]");
  const pinned = newestPinned();
  const name = button.dataset.fate;
  if (message) return act(name, { channel, ts: message.dataset.ts });
  switch (name) {
    case "cut": return act("disconnect_sockets", { reason: null });
    case "warn": return act("disconnect_sockets", { reason: "warning" });
    case "archive": return act("archive", { channel });
    case "unarchive": return act("archive", { channel, archived: false });
    case "unpin-newest": return pinned && act("unpin", { channel, ts: pinned });
    case "delete-newest": return pinned && act("delete_message", { channel, ts: pinned });
    case "remove_fault": return act(name, { id: Number(button.dataset.fault) });
    case "advance_clock": return act(name, { seconds: Number($("#clock").value) });
    default: return act(name);
  }
}

async function detail(row) {
  const answer = await fetch(`/page/${me}/${row.dataset.detail}`);
  $("pre", row).textContent = await answer.text();
}

function show(open) {
  $("#hood").hidden = !open;
  $("#hood-open").setAttribute("aria-expanded", open);
}

export function listen() {
  $("#hood-open").addEventListener("click", () => show($("#hood").hidden));
  $("#hood-close").addEventListener("click", () => show(false));
  for (const tab of $$("[data-hood]")) {
    tab.addEventListener("click", () => {
      for (const each of $$("[data-hood]")) {
        each.setAttribute("aria-selected", each === tab);
        $(`#hood-${each.dataset.hood}`).hidden = each !== tab;
      }
    });
  }
  const { method, error, other } = $("#fault").elements;
  method.addEventListener("input", offerErrors);
  error.addEventListener("change", () => (other.value = ""));
  for (const [form, made] of [[$("#fault"), faultOf], [$("#refusal"), refusalOf]]) {
    form.addEventListener("change", () => adjust(form));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act("fault", made(form));
    });
  }
  adjust($("#fault"));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fate]");
    if (button) fate(button);
  });
  $("#hood").addEventListener("toggle", (event) => event.target.open && detail(event.target), true);
}
