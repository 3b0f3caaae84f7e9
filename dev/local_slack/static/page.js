// One person's page: where they are, what is beside it, and the one stream of changes.
import { $, $$, act as bot, fragment, look, me, speak, t, toast } from "./dom.js";
import * as act from "./act.js";
import * as hood from "./hood.js";
import * as menu from "./menu.js";
import * as modal from "./modal.js";
import { Composer, know } from "./composer.js";
import { MessageList } from "./list.js";
import { listen, undisturbed } from "./stream.js";

const list = new MessageList($("#list"), $("#room"));
const pane = new MessageList($("#pane-list"), $("#pane-body"), { apart: true });
const newest = new Map(); // by channel, the last message that was news
let boot, composer, reply, place;
let thread = null; // the ts of the open thread; "pins" while the pins are open
let loading = false;
let turns = 0; // of entering a place; only the last one counts

function where() {
  const channel = location.pathname.split("/")[3] || $("[data-channel]", $("#sidebar")).dataset.channel;
  const query = new URLSearchParams(location.search);
  return { channel, ts: query.get("ts"), thread: query.get("thread") };
}

const enter = () => undisturbed(arrive);

async function arrive() {
  const turn = (turns += 1);
  const wanted = where();
  const home = wanted.channel === "home";
  const channel = home ? boot.app.dm : wanted.channel;
  document.body.classList.remove("menu");
  let found;
  try {
    found = await look(`history/${channel}`, { born: boot.born });
  } catch (error) {
    if (turn !== turns) return;
    toast(error.message);
    history.replaceState(null, "", `/as/${me}`);
    return arrive();
  }
  if (turn !== turns) return;
  place = home ? "home" : channel;
  list.fill(found.messages, found.more);
  document.body.dataset.channel = channel;
  $("#head").replaceChildren(fragment(found.head));
  $("#home").hidden = !home;
  $("#room").hidden = home;
  $("#composer").hidden = home || found.closed;
  $("#closed").hidden = home || !found.closed;
  $("#closed").textContent = found.closed ?? "";
  pins(found);
  composer.name(t("Message {place}", { place: found.name }));
  here();
  document.title = `${found.name} · ${boot.me.name}`;
  closePane();
  if (home) await openHome();
  else composer.box.focus({ preventScroll: true });
  if (wanted.thread) await openThread(wanted.thread);
  if (wanted.ts && !(wanted.thread ? pane : list).show(wanted.ts)) {
    found = await look(`history/${channel}`, { born: boot.born, before: `${wanted.ts}~` });
    list.fill(found.messages, found.more, true);
    $("#newest").hidden = false;
    if (!list.show(wanted.ts)) toast("message_not_found");
  } else {
    $("#newest").hidden = true;
  }
}

function here() {
  for (const each of $$("#sidebar [data-channel]")) {
    const current = each.dataset.channel === document.body.dataset.channel;
    if (current) seen(each);
    each.toggleAttribute("aria-current", current);
  }
  for (const each of $$("#sidebar [data-person]")) {
    const same = place === boot.app.dm ? "" : `/${place}`;
    each.href = `/as/${each.dataset.person}${same}`;
  }
  for (const tab of $$("#head [data-tab]")) {
    tab.setAttribute("aria-selected", (tab.dataset.tab === "home") === (place === "home"));
  }
}

function pins({ bar, panel }) {
  if (bar !== undefined) {
    $("#bar").replaceChildren(fragment(bar));
    $("#bar").hidden = !bar || place === "home";
  }
  if (thread === "pins") $("#pane-list").replaceChildren(fragment(panel));
  else $("#bar").panel = panel;
}

async function openHome() {
  modal.showHome((await look("home")).html);
  bot("open_home", { user: me });
}

const openThread = (ts) => undisturbed(async () => {
  thread = ts;
  const found = await look(`thread/${document.body.dataset.channel}/${ts}`, { born: boot.born });
  if (thread !== ts) return; // something else was opened meanwhile
  showPane("Thread");
  pane.fill(found.messages);
  $("#reply").hidden = $("#composer").hidden;
  reply.name(t("Reply…"));
  if (!$("#reply").hidden) reply.box.focus();
});

const openPins = () => undisturbed(async () => {
  thread = "pins";
  const found = await look(`history/${document.body.dataset.channel}`, { born: boot.born });
  if (thread !== "pins") return;
  showPane("Pinned messages");
  pane.fill([]);
  $("#reply").hidden = true;
  pins({ panel: found.panel });
});

function showPane(title) {
  $("#pane").hidden = false;
  $("#pane").dataset.kind = title === "Thread" ? "thread" : "pins";
  $("#pane-title").textContent = t(title);
}

function closePane() {
  thread = null;
  $("#pane").hidden = true;
}

async function older() {
  if (loading || !list.more || $("#room").scrollTop > 300) return;
  loading = true;
  const turn = turns;
  await undisturbed(async () => {
    const found = await look(`history/${document.body.dataset.channel}`, { born: boot.born, before: list.oldest });
    if (turn === turns) list.above(found.messages, found.more);
  });
  loading = false;
}

// ------------------------------------------------------------------------------------------- what changed

function unseen(channel, mentions) {
  const link = $(`#sidebar [data-channel="${channel}"]`);
  if (!link) return;
  link.classList.add("unread");
  const count = Number(link.dataset.mentions ?? 0) + Number(mentions);
  if (count) link.dataset.mentions = count;
}

function seen(link) {
  link.classList.remove("unread");
  delete link.dataset.mentions;
}

const told = {
  message(event) {
    const { channel, ts, html, parent } = event;
    if (channel !== document.body.dataset.channel) {
      if (html && !event.mine && ts > (newest.get(channel) ?? boot.born)) {
        newest.set(channel, ts); // an edit is no news
        unseen(channel, event.mention);
      }
      return;
    }
    pins(event);
    if (!html) {
      list.remove(ts);
      pane.remove(ts);
      return;
    }
    const known = list.rows.has(ts);
    const inWindow = known || (!list.detached && !(list.more && ts < list.oldest));
    if ((!parent || event.broadcast) && inWindow) list.put(event);
    if (thread && (ts === thread || parent === thread)) pane.put(event);
  },
  pins(event) {
    if (event.channel === document.body.dataset.channel) pins(event);
  },
  modal: (event) => modal.showModal(event.html),
  home: (event) => modal.showHome(event.html),
  channel(event) {
    const unread = $$("#sidebar .unread").map((each) => [each.dataset.channel, Number(each.dataset.mentions ?? 0)]);
    $("#sidebar").replaceChildren(fragment(event.sidebar));
    for (const [each, mentions] of unread) unseen(each, mentions);
    here();
    hood.knowPlaces();
    if (event.channel === document.body.dataset.channel && place !== "home") enter();
  },
  log: (event) => hood.log(event.row),
  faults: (event) => hood.showFaults(event.html),
  reload: () => location.reload(),
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-local]");
  if (link && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    history.pushState(null, "", link.href);
    enter();
    return;
  }
  const jump = event.target.closest("[data-jump]");
  const open = event.target.closest("[data-thread]");
  if (jump) list.show(jump.dataset.jump);
  else if (open) openThread(open.dataset.thread);
  else if (event.target.closest("#pins-open")) openPins();
});
addEventListener("popstate", enter);
$("#room").addEventListener("scroll", older, { passive: true });
$("#pane-close").addEventListener("click", closePane);
$("#menu-open").addEventListener("click", () => document.body.classList.toggle("menu"));
$("#newest").addEventListener("click", () => {
  history.pushState(null, "", location.pathname);
  enter();
});

boot = await look("boot");
speak(boot.words);
know({ commands: boot.commands, people: boot.people });
$("#sidebar").replaceChildren(fragment(boot.sidebar));
const channel = () => ({ channel: document.body.dataset.channel });
composer = new Composer($("#composer"), { where: channel, commands: true });
reply = new Composer($("#reply"), { where: () => ({ ...channel(), thread_ts: thread }), commands: false });
for (const part of [act, menu, modal, hood]) part.listen();
hood.know(boot);
hood.knowPlaces();
hood.showFaults(boot.faults);
for (const row of boot.log) hood.log(row);
await enter();
modal.showModal(boot.modal.html);
listen(boot, told, () => toast(t("Reconnecting…")));
