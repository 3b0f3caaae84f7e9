"""A copy that asks for reasons says them everywhere; approvals are reminded of; whoever wants to is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.messages.blocks import of_liquidation
from bot.messages.card import DETAILS_ACTION, TELL_ACTION, UNTELL_ACTION
from bot.messages.proposal import COPY_ACTION, WHY, why_missing
from bot.messages.question import APPROVE_ACTION, APPROVE_CALLBACK, REASON, reason_missing
from tests.mailroom import Receiver

from .scene import EN, ES, Office, Scene, until

#: One copy that asks for reasons and has a second group, and a destination that is told of all.
MORE = """
[[copies]]
name = "reasoned"
source_table = "public.liquidation_items"
target_table = "public.liquidation_items"
require_approval = true
require_reason = true
approval_second_group = "S0BOSSES"
approval_second_after_hours = 4

[notify]
destinations = ["hook"]
"""


@pytest.fixture(scope="module")
def hook(office: Office) -> Iterator[Receiver]:
    """The bot runs with that configuration, and so does the worker of each test."""
    receiver = Receiver()
    receiver.start()
    path = office.stack.folder / "reasons.toml"
    path.write_text(office.stack.config_path.read_text("utf-8") + MORE, "utf-8")
    office.slack.add_group("S0BOSSES", "bosses", ["U0CARLA"])
    receiver.environment = {"TRASPASO_CONFIG": str(path), "NOTIFY_HOOK": receiver.url}
    office.restart_bot(**receiver.environment)
    yield receiver
    receiver.stop()
    office.restart_bot()


def waits(scene: Scene, hook: Receiver, why: str = "cierre de octubre") -> int:
    """A copy that Ana asked for with a reason, and that somebody has to approve."""
    scene.office.own_worker(hook.environment)
    scene.seed(30)
    offer = scene.offer(scene.ana, "reasoned")
    assert scene.ana.press(offer, COPY_ACTION, values={WHY: why}).acked
    scene.replaced(scene.ana, offer)
    [job] = scene.jobs()
    scene.card(job["id"])
    return int(job["id"])


def approve(scene: Scene, person: str, job_id: int, why: str) -> None:
    presses = scene.slack.user(person)
    assert presses.press(scene.card(job_id), APPROVE_ACTION).acked
    scene.slack.wait_for(lambda: (asks := presses.modal()) and asks.callback_id == APPROVE_CALLBACK)
    assert presses.submit({REASON: why}).acked


def test_a_copy_asks_why_at_the_request_and_at_the_approval_and_says_both_everywhere(
    office: Office, scene: Scene, hook: Receiver
) -> None:
    office.own_worker(hook.environment)
    scene.seed(30)
    offer = scene.offer(scene.ana, "reasoned")
    assert why_missing(ES) in scene.press(scene.ana, offer)
    assert scene.jobs() == []
    asked_anew = next(each for each in scene.private(scene.ana) if each.ts == offer.ts)
    why = "cierre de *octubre*\n<!channel>"
    assert scene.ana.press(asked_anew, COPY_ACTION, values={WHY: why}).acked
    scene.replaced(scene.ana, asked_anew)
    [job] = scene.jobs()
    job_id = job["id"]
    assert job["request_reason"] == "cierre de *octubre* <!channel>"
    on_card = ES("Why: {reason}", reason="cierre de ∗octubre∗ &lt;!channel&gt;")
    assert on_card in str(scene.card(job_id).blocks)
    assert "<!channel>" not in str(scene.card(job_id).blocks)
    ours = f"liquidación {scene.liquidation}"
    [asked] = until(lambda: hook.about(ours), what="a post that it waits")
    assert "Espera aprobación" in asked.body["title"]
    scene.bob.press(scene.card(job_id), APPROVE_ACTION)
    scene.slack.wait_for(lambda: (asks := scene.bob.modal()) and asks.callback_id == APPROVE_CALLBACK)
    empty = scene.bob.submit({REASON: "   "})
    assert reason_missing(EN)[REASON] in str(empty)
    assert scene.job(job_id)["approval"] == "waiting"
    assert scene.bob.submit({REASON: "revisada con Contaduría"}).acked
    done = scene.completed(job_id)
    assert done["approval_reason"] == "revisada con Contaduría"
    approved = ES("Why it was approved: {reason}", reason="revisada con Contaduría")
    for shown in (scene.card(job_id), scene.reply(job_id)):
        assert approved in shown.plain
    [told] = scene.asides(job_id, "approved")
    assert "<@U0ANA>" in told.plain
    assert "<@U0BOB>" in told.plain
    assert "revisada con Contaduría" in told.plain
    scene.ana.press(scene.card(job_id), DETAILS_ACTION)
    scene.slack.wait_for(lambda: (modal := scene.ana.modal()) is not None and approved in modal.plain)
    scene.ana.close_modal()
    posts = until(lambda: (found := hook.about(ours)) and len(found) == 2 and found, what="two posts")
    assert [post.body["title"].split(": ")[1] for post in posts] == ["Espera aprobación", "Copiada"]
    assert "Motivo: cierre de *octubre* ‹!channel›" in posts[1].body["message"]
    assert "Motivo de la aprobación: revisada con Contaduría" in posts[1].body["message"]
    assert "/archives/" in posts[1].body["message"]


def test_those_who_may_approve_are_reminded_and_a_second_group_may_approve_when_it_is_asked(
    office: Office, scene: Scene, hook: Receiver
) -> None:
    job_id = waits(scene, hook)
    card = scene.card(job_id)
    refused = scene.press_on_card(scene.carla, card, APPROVE_ACTION)
    assert ES("You may not use `{command}`.", command="/copy-liquidation") in refused
    assert scene.asides(job_id, "reminder") == []
    moved = "UPDATE traspaso.copy_jobs SET approval_asked_at = now() - make_interval(hours => %s), "
    moved += "approval_until = now() + make_interval(mins => %s), second_group_at = now() + interval '1 h' "
    office.consulta.execute(moved.encode() + b"WHERE id = %s", [3, 170, job_id])
    [half] = until(lambda: scene.asides(job_id, "reminder"), what="the reminder at half time")
    assert "<!subteam^S0ADMINS>" in half.plain
    office.consulta.execute(moved.encode() + b"WHERE id = %s", [3, 50, job_id])
    [last] = until(lambda: scene.asides(job_id, "last_reminder"), what="the last reminder")
    what = of_liquidation("reasoned", scene.liquidation, ES)
    words = ES(
        "{mention} the copy {what} ends without approval at {moment}.", mention="|", what=what, moment="|"
    )
    assert words.split("|")[1] in last.plain
    office.consulta.execute(b"UPDATE traspaso.copy_jobs SET second_group_at = now() WHERE id = %s", [job_id])
    [second] = until(lambda: scene.asides(job_id, "second_group"), what="a word to the second group")
    assert "<!subteam^S0BOSSES>" in second.plain
    assert "<!subteam^S0ADMINS>" not in second.plain
    scene.card_with(job_id, "<!subteam^S0BOSSES>")
    approve(scene, "U0CARLA", job_id, "la vi")
    assert scene.completed(job_id)["approval"] == "approved"
    assert "<@U0CARLA>" in scene.reply(job_id).plain
    for part in ("reminder", "last_reminder", "second_group", "approved"):
        assert len(scene.asides(job_id, part)) == 1


def test_whoever_pressed_tell_me_gets_one_direct_message_at_the_end_and_can_take_it_back(
    office: Office, scene: Scene, hook: Receiver
) -> None:
    job_id = waits(scene, hook)
    what = of_liquidation("reasoned", scene.liquidation, EN)
    noted = EN("Noted: you get a direct message when the copy {what} ends.", what=what)
    assert noted in scene.press_on_card(scene.bob, scene.card(job_id), TELL_ACTION)
    again = EN("It is noted already: you get a direct message when the copy {what} ends.", what=what)
    assert again in scene.press_on_card(scene.bob, scene.card(job_id), TELL_ACTION)
    scene.press_on_card(scene.carla, scene.card(job_id), TELL_ACTION)
    answer = scene.private(scene.carla)[-1]
    assert scene.carla.press(answer, UNTELL_ACTION).acked
    in_spanish = of_liquidation("reasoned", scene.liquidation, ES)
    back = ES("Taken back: you get no direct message when the copy {what} ends.", what=in_spanish)
    assert back in scene.replaced(scene.carla, answer)
    office.restart_bot(kill=True, **hook.environment)
    approve(scene, "U0BOB", job_id, "ok")
    scene.completed(job_id)
    told = EN("You wanted to be told: the copy {what} is {state}.", what=what, state=EN("completed"))
    bobs = [each for each in scene.bob.messages(scene.bob.dm_with("U0BOT")) if told in each.plain]
    assert len(bobs) == 1
    carlas = scene.carla.messages(scene.carla.dm_with("U0BOT"))
    assert not [each for each in carlas if in_spanish in each.plain]
    assert TELL_ACTION not in {button.action_id for button in scene.card(job_id).buttons}
