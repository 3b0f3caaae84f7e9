// Under the hood: what went over the wire, and what may go wrong next.
import { $, $$, act, fragment, me, node } from "./dom.js";

const KEPT = 400;

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

export function knowMethods(names) {
  const usual = ["chat.postMessage", "chat.update", "pins.add", "pins.remove", "users.info", "usergroups.users.list",
    "views.open", "views.publish", "conversations.history", "files.completeUploadExternal", "upload", "*"];
  const all = [...new Set([...names, ...usual])].sort();
  $("#methods").replaceChildren(...all.map((name) => node("option", "", { value: name })));
}

function faultOf(form) {
  const { method, kind, value, times } = Object.fromEntries(new FormData(form));
  const fault = { method, times: Number(times) };
  if (kind === "error") fault.error = value;
  if (kind === "429") Object.assign(fault, { status: 429, retry_after: Number(value) || 1 });
  if (kind === "500") fault.status = 500;
  if (kind === "drop") fault.accept_then_drop = true;
  if (kind === "slow") fault.delay = Number(value) || 5;
  return fault;
}

function fate(button) {
  const channel = document.body.dataset.channel;
  const message = button.closest("[data-ts]");
  const pinned = $$("#list .pinned").at(-1)?.dataset.ts;
  const name = button.dataset.fate;
  if (message) return act(name, { channel, ts: message.dataset.ts });
  switch (name) {
    case "cut": return act("disconnect_sockets", { reason: null });
    case "warn": return act("disconnect_sockets", { reason: "warning" });
    case "archive": return act("archive", { channel });
    case "unarchive": return act("archive", { channel, archived: false });
    case "unpin-newest": return pinned && act("unpin", { channel, ts: pinned });
    case "delete-newest": return pinned && act("delete_message", { channel, ts: pinned });
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
  $("#fault").addEventListener("submit", (event) => {
    event.preventDefault();
    act("fault", faultOf(event.target));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fate]");
    if (button) fate(button);
  });
  $("#hood").addEventListener("toggle", (event) => event.target.open && detail(event.target), true);
}
