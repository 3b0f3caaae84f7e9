"""Who may copy what, and what needs somebody else's yes before it starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.messages.blocks import of_liquidation
from bot.messages.card import DETAILS_ACTION
from bot.messages.question import APPROVE_ACTION, REJECT_ACTION
from dev.local_slack.results import Message

from .house import both_ways
from .scene import EN, ES, Office, Scene, until


def asked(scene: Scene) -> tuple[int, Message]:
    """A copy that Ana asked for and somebody else has to approve, and its card."""
    scene.seed(30)
    job_id = scene.start(scene.ana, "checked")
    return job_id, scene.card_with(job_id, "<!subteam^S0ADMINS>")


def test_a_copy_that_needs_it_starts_with_somebody_else_s_approval(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    offer = scene.offer(scene.ana, "checked")
    who = ES("It starts only when somebody else approves it, out of {who}.", who="<!subteam^S0ADMINS>")
    assert who in offer.plain
    said = scene.press(scene.ana, offer)
    job_id = scene.jobs()[0]["id"]
    what = of_liquidation("checked", scene.liquidation, ES)
    assert (
        ES("Requested: {what}, job {id}. It waits for somebody else's approval.", what=what, id=job_id)
        in said
    )
    card = scene.card_with(job_id, "<!subteam^S0ADMINS>")
    assert "<@U0ANA>" in card.plain
    assert [button.text for button in card.buttons[:2]] == [ES("Approve"), ES("Reject")]
    scene.slack.wait_for(lambda: scene.card(job_id).pinned)
    assert scene.job(job_id)["status"] == "pending"
    assert scene.job(job_id)["attempt"] == 0
    approved = EN(
        "Approved: job {id}, {what}.", id=job_id, what=of_liquidation("checked", scene.liquidation, EN)
    )
    assert approved in scene.press_on_card(scene.bob, card, APPROVE_ACTION)
    job = scene.completed(job_id)
    assert job["approval"] == "approved"
    by_bob = ES("approved by {user}", user="<@U0BOB>")
    assert by_bob in scene.reply(job_id).plain
    assert by_bob in scene.card(job_id).plain
    assert not {button.action_id for button in scene.card(job_id).buttons} & {
        APPROVE_ACTION,
        REJECT_ACTION,
    }


def test_neither_the_requester_nor_who_may_not_copy_can_decide(office: Office, scene: Scene) -> None:
    office.workers(1)
    job_id, card = asked(scene)
    own = ES("You asked for this copy, or set it going again, yourself: somebody else has to approve it.")
    for action in (APPROVE_ACTION, REJECT_ACTION):
        assert own in scene.press_on_card(scene.ana, card, action)
        refused = scene.press_on_card(scene.carla, card, action)
        assert ES("You may not use `{command}`.", command="/copy-liquidation") in refused
    assert scene.job(job_id)["approval"] == "waiting"
    assert scene.events(job_id) == ["requested"]


def test_a_rejected_copy_ends_and_its_requester_learns_by_whom(office: Office, scene: Scene) -> None:
    office.workers(1)
    job_id, card = asked(scene)
    what = of_liquidation("checked", scene.liquidation, EN)
    rejected = EN("Rejected: job {id}, {what}.", id=job_id, what=what)
    assert rejected in scene.reject(scene.bob, card)
    scene.ended(job_id, "cancelled")
    scene.told(job_id)
    reply = scene.reply(job_id)
    assert "<@U0ANA>" in reply.plain
    assert ES("{user} rejected it", user="<@U0BOB>") in reply.plain
    assert not scene.card(job_id).pinned
    assert not [button for button in scene.card(job_id).buttons if button.action_id == APPROVE_ACTION]
    scene.joins_the_group(scene.carla)
    try:
        scene.carla.press(card, APPROVE_ACTION, stale=True)
        in_spanish = ES("{user} has rejected job {id} already.", user="<@U0BOB>", id=job_id)
        scene.slack.wait_for(lambda: any(in_spanish in each.plain for each in scene.private(scene.carla)))
    finally:
        scene.slack.remove_from_group("U0CARLA")
    assert scene.compared().consulta_rows == 0


@both_ways
def test_who_rejects_a_copy_may_say_why_and_who_asked_reads_it(office: Office, scene: Scene) -> None:
    office.workers(1)
    job_id, card = asked(scene)
    scene.reject(scene.bob, card, "faltan *ajustes*\nver <!channel> http://evil.example\u202e")
    scene.ended(job_id, "cancelled")
    scene.told(job_id)
    why = ES("{user} rejected it: {reason}", user="<@U0BOB>", reason="faltan ∗ajustes∗ ver")
    reply = scene.reply(job_id)
    assert why in reply.plain
    assert "<@U0ANA>" in reply.plain
    assert "<!channel>" not in str(reply.blocks)
    assert why in scene.card_with(job_id, why).plain
    scene.ana.press(scene.card(job_id), DETAILS_ACTION)
    in_details = EN("{user} rejected it: {reason}", user="<@U0BOB>", reason="faltan")
    scene.slack.wait_for(lambda: (modal := scene.ana.modal()) is not None and why in modal.plain)
    assert in_details
    kept = "SELECT detail FROM traspaso.copy_events WHERE kind = 'rejected' AND job_id = %s"
    [event] = scene.rows(kept, job_id)
    assert event["detail"] == {"reason": "faltan *ajustes* ver <!channel> http://evil.example"}


def test_a_window_that_slack_doesnt_show_rejects_nothing(office: Office, scene: Scene) -> None:
    job_id, card = asked(scene)
    scene.slack.ask("fault", method="views.open", error="expired_trigger_id", times=1)
    words = EN("Slack didn't show the window, so nothing was rejected. Press Reject again.")
    assert words in scene.press_on_card(scene.bob, card, REJECT_ACTION)
    assert scene.job(job_id)["approval"] == "waiting"
    scene.reject(scene.bob, card)
    assert scene.job(job_id)["approval"] == "rejected"


def test_a_copy_that_nobody_approves_in_time_ends_and_that_is_told(office: Office, scene: Scene) -> None:
    office.workers(1)
    job_id, card = asked(scene)
    scene.rows(
        "UPDATE traspaso.copy_jobs SET approval_until = now() - interval '1 s' WHERE id = %s RETURNING id",
        job_id,
    )
    job = scene.ended(job_id, "cancelled")
    assert job["approval"] == "expired"
    scene.told(job_id)
    assert ES("Nobody approved it in time") in scene.reply(job_id).plain
    assert f"/copy-liquidation {scene.liquidation} checked" in scene.reply(job_id).plain
    scene.bob.press(card, APPROVE_ACTION, stale=True)
    too_late = EN("The time to approve job {id} is over.", id=job_id)
    scene.slack.wait_for(lambda: any(too_late in each.plain for each in scene.private(scene.bob)))
    assert scene.compared().consulta_rows == 0


def test_pressing_approve_and_reject_at_once_is_one_decision(office: Office, scene: Scene) -> None:
    office.workers(0)
    job_id, card = asked(scene)
    # The window for a no is open, and *Approve* is pressed three times while it is sent.
    assert scene.bob.press(card, REJECT_ACTION, stale=True).acked
    scene.slack.wait_for(scene.bob.modal)
    with ThreadPoolExecutor(4) as pool:
        presses = [pool.submit(scene.bob.press, card, APPROVE_ACTION, stale=True) for _ in range(3)]
        presses.append(pool.submit(scene.bob.submit, {}))
        assert all(press.result().acked for press in presses)
    decided = until(
        lambda: (job := scene.job(job_id))["approval"] != "waiting" and job, what="a decision about the job"
    )
    assert len(scene.events(job_id)) == 2
    scene.slack.wait_for(lambda: len(scene.private(scene.bob)) == 4)
    office.workers(1)
    scene.ended(job_id, "completed" if decided["approval"] == "approved" else "cancelled")


def test_an_approval_while_redis_is_away_starts_the_copy_when_it_is_back(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    job_id, card = asked(scene)
    office.stack.valkey.stop()
    assert str(job_id) in scene.press_on_card(scene.bob, card, APPROVE_ACTION)
    office.stack.valkey.start()
    scene.completed(job_id)


def test_an_approval_that_slack_shows_late_hides_no_end(office: Office, scene: Scene) -> None:
    office.workers(1)
    job_id, card = asked(scene)
    scene.slack.wait_for(lambda: scene.card(job_id).pinned)
    slow = {"channel": scene.channel, "ts": card.ts}
    scene.slack.fault("chat.update", delay=2.0, match=slow)
    scene.press_on_card(scene.bob, card, APPROVE_ACTION)
    scene.ended(job_id)
    scene.reply(job_id)
    scene.told(job_id)
    first, *_ = [call for call in scene.slack.calls("chat.update") if call.args.get("ts") == card.ts]
    assert first.seconds >= 2
    assert ES("completed") in scene.card(job_id).text
    assert not scene.card(job_id).pinned


def test_where_nobody_else_can_see_it_no_approval_can_be_asked_for(scene: Scene) -> None:
    scene.seed(30)
    dm = scene.ana.dm
    before = {message.ts for message in scene.ana.messages(dm)}
    scene.ana.command(f"/copy-liquidation {scene.liquidation} checked", channel=dm)
    offer = scene.slack.wait_for(
        lambda: next(
            (each for each in scene.ana.messages(dm) if each.ts not in before and each.buttons), None
        )
    )
    scene.ana.press(offer, "copy_liquidation.confirm")
    words = ES("Ask again in a channel where those who may approve it are.")
    scene.slack.wait_for(lambda: any(words in each.plain for each in scene.ana.messages(dm)))
    assert not scene.jobs()


def test_in_a_channel_without_the_bot_the_requester_learns_at_once_that_nobody_can_be_asked(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    scene.seed(30)
    channel = f"C0HIDDEN{scene.liquidation}"
    scene.slack.add_channel(channel, f"hidden-{scene.liquidation}", ["U0ANA", "U0BOB"], is_private=True)
    hidden = Scene(office, scene.liquidation, channel)
    job_id = hidden.start(scene.ana, "checked")
    assert hidden.ended(job_id, "cancelled")["approval"] == "expired"
    hidden.told(job_id)
    reason = ES("the bot is not in {channel}", channel=f"<#{channel}>")
    nobody = ES("Nobody could be asked for approval, because {reason}", reason=reason)
    [card] = hidden.cards(job_id, scene.ana.dm)
    assert nobody in card.plain
    [reply] = hidden.replies(job_id, scene.ana.dm)
    assert nobody in reply.plain
    again = f"/copy-liquidation {scene.liquidation} checked"
    words = "Ask again in a channel where those who may approve it are: `{command}`"
    assert ES(words, command=again) in reply.plain
    # Where somebody can see it, it can be asked for again at once.
    again_id = scene.start(scene.ana, "checked")
    assert again_id != job_id
    scene.card_with(again_id, "<!subteam^S0ADMINS>")


def test_a_copy_that_waits_for_approval_in_a_channel_that_is_archived_ends_with_the_next_word_about_it(
    office: Office, scene: Scene
) -> None:
    office.workers(1)
    job_id, _ = asked(scene)
    scene.slack.archive(scene.channel)
    elsewhere = Scene(office, scene.liquidation, "C0PAYROLL")
    elsewhere.ask(scene.bob, "cierre de mes", "/copy-freeze")
    scene.ended(job_id, "cancelled")
    scene.told(job_id)
    [reply] = scene.replies(job_id, scene.ana.dm)
    assert ES("{channel} is archived", channel=f"<#{scene.channel}>") in reply.plain
    assert scene.events(job_id) == ["requested", "card_moved", "approval_expired"]


# -------------------------------------------------------------------------------------- who may copy what


def test_a_copy_s_own_people_may_run_it_and_nobody_else(office: Office, scene: Scene) -> None:
    office.workers(1)
    scene.seed(30)
    refused = scene.ask(scene.ana, f"{scene.liquidation} bobs")
    assert (
        ES("You may not use `{command}` for copy `{name}`.", command="/copy-liquidation", name="bobs")
        in refused
    )
    assert not scene.jobs()
    job_id = scene.start(scene.bob, "bobs")
    assert scene.completed(job_id)["copy_name"] == "bobs"


def test_only_large_copies_need_approval_where_that_is_configured(scene: Scene) -> None:
    scene.seed(1001)
    assert "<@U0BOB>" in scene.offer(scene.bob, "bobs").plain
    scene.press(scene.bob, scene.offer(scene.bob, "bobs"))
    assert scene.jobs()[0]["approval"] == "waiting"


def test_who_loses_the_permission_between_the_press_and_the_start_gets_no_copy(
    office: Office, scene: Scene
) -> None:
    office.workers(0)
    scene.seed(30)
    job_id = scene.start(scene.bob)
    scene.slack.remove_from_group("U0BOB")
    scene.was_pressed_a_while_ago(job_id)
    office.workers(1)
    job = scene.ended(job_id, "failed")
    assert job["error"]["code"] == "not_permitted"
    scene.told(job_id)
    reply = scene.reply(job_id).plain
    assert ES("Whoever asked for this copy may not start it any more.") in reply
    assert "S0ADMINS" in reply
    assert scene.compared().consulta_rows == 0


@pytest.mark.parametrize("trouble", [{"error": "plan_upgrade_required"}, {"status": 503}])
def test_a_slack_that_doesn_t_answer_at_the_start_fails_no_copy(
    office: Office, scene: Scene, trouble: dict[str, object]
) -> None:
    office.workers(0)
    scene.seed(30)
    job_id = scene.start(scene.bob)
    scene.was_pressed_a_while_ago(job_id)
    scene.slack.fault("usergroups.users.list", times=None, **trouble)  # type: ignore[arg-type]
    office.workers(1)
    scene.completed(job_id)
    assert "permission_not_known" in scene.events(job_id)
