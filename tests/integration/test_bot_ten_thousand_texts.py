"""Ten thousand texts after the commands, through the real app to its real databases.

Each is answered in under a second, none raises, and none starts anything, but that a freeze is started
without a reason, or with one in words. The answers go where a response_url of Slack points; here a
listening socket stands there, and the blocks are checked as Slack would.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml
from slack_bolt import App

from bot.app import build_app
from bot.config import CatalogueSection, CopySection, File, SlackSection
from bot.i18n import translator
from bot.jobs.repository import JobHistory
from bot.messages.blocks import (
    AUDIT_COMMAND,
    COPY_COMMAND,
    FREEZE_COMMAND,
    STATUS_COMMAND,
    VERIFY_COMMAND,
)
from bot.messages.proposal import COPY_ACTION
from bot.slack.client import client
from copier import TableName
from dev.guard import ROOT
from dev.local_slack.blocks import check_message_blocks
from dev.local_slack.client import LocalSlack
from dev.local_slack.server import LocalSlackServer
from tests.copying import engine
from tests.services import dispatched, parts_of
from tests.support import Database
from tests.tracking import BOB, Jobs

TEXTS = 10_000
SECONDS = 1.0
MANIFEST = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
COMMANDS = [entry["command"] for entry in MANIFEST["features"]["slash_commands"]]
PEOPLE = ["U0ANA", "U0BOB", "U0CARLA"]
#: Nobody is to be called by what was typed. Carla may freeze nothing, so no answer speaks of her.
MENTIONS = {"<!channel>", "<!here>", "<@U0CARLA>"}
EN = translator("en")
ITEMS = "CREATE TABLE items (id bigint PRIMARY KEY, liquidation_id bigint NOT NULL, note text)"

#: What people type, nearly type, paste, or try.
VOCABULARY = r"""
42 #42 42, "42" 42. 042 -42 +42 4_2 42x 0 ٤٢ ４２ 1.234 4e1 0x2a NaN ² 9223372036854775808
items itmes ITEMS notes nosuch items; help hlep ayuda ? --help status stauts mine liquidation retry
<!channel> <!here> <@U0CARLA> <#C0PAYROLL> <https://evil.example|click> @channel *bold* `code` ``` _it_ &lt;
> & :boom: ñandú '; -- DROP TABLE OR 1=1 pg_sleep(10) | \ {id} {} %s %(id)s $1 off verify liquidación ~no~
"""
#: Those of them that mean something to a command, or nearly.
SPOKEN_FOR = "items itmes notes help hlep ayuda status stauts mine liquidation liquidación off verify"
WORDS = [*VOCABULARY.split(), "\U0001f469\U0001f3fd", "\u202eעכשיו", "\x00", "\u200b"]


def text(chance: random.Random) -> str:
    match chance.randrange(11):
        case 10:
            return chance.choice(["", " ", "\u00a0\t\n"])
        case 0:
            letters = [chr(chance.choice([chance.randrange(32, 127), chance.randrange(0xA0, 0xD7FF)]))]
            found = "".join(letters * chance.randrange(1, 40))
        case 1:
            found = "".join(chr(chance.randrange(32, 0x3000)) for _ in range(chance.randrange(1, 60)))
        case 2:
            found = chance.choice(WORDS) * chance.randrange(1, 1000)
        case _:
            gap = chance.choice([" ", "  ", "\u00a0", "\t", "\n"])
            found = gap.join(chance.choice(WORDS) for _ in range(chance.randrange(1, 5)))
    return found[:3000]


def says_why(words: str) -> bool:
    """Whether there is a word in it that is no command's, such as a reason has."""
    found = re.findall(r"(?<!\S)\W*([^\W\d_]{3,40})\W*(?!\S)", words)
    return any(word.lower() not in SPOKEN_FOR.split() for word in found)


class Mailbox:
    """Where answers arrive: by number, with the moment."""

    def __init__(self) -> None:
        self.answers: dict[int, tuple[float, dict[str, Any]]] = {}
        self._arrived = threading.Condition()
        mailbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                mailbox.put(int(self.path.rpartition("/")[2]), body)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def put(self, number: int, body: dict[str, Any]) -> None:
        with self._arrived:
            self.answers[number] = (time.monotonic(), body)
            self._arrived.notify_all()

    def wait(self, number: int, timeout: float) -> None:
        with self._arrived:
            self._arrived.wait_for(lambda: number in self.answers, timeout)


@dataclass
class Bot:
    app: App
    mailbox: Mailbox
    started: list[int]

    def type(self, number: int, command: str, person: str, words: str) -> float:
        """Seconds until the answer; infinite where none came within ten."""
        body = {"type": "slash_commands", "command": command, "team_id": "T0ACME", "user_id": person}
        body |= {"text": words, "channel_id": "C0PAYROLL", "response_url": f"{self.mailbox.url}/{number}"}
        began = time.monotonic()
        dispatched(self.app, body)
        self.mailbox.wait(number, 10.0)
        arrived = self.mailbox.answers.get(number)
        return arrived[0] - began if arrived else float("inf")


@pytest.fixture
def bot(prod: Database, jobs: Jobs) -> Iterator[Bot]:
    prod.execute(ITEMS)
    with jobs.engine.begin() as consulta:
        consulta.exec_driver_sql(f"DROP TABLE IF EXISTS items; {ITEMS}")
    prod.execute("INSERT INTO items SELECT g, 42, 'n' FROM generate_series(1, 50) g")
    prod.execute("CREATE TABLE liquidations (id bigint PRIMARY KEY, name text)")
    prod.execute("INSERT INTO liquidations VALUES (42, '<!channel> *42*')")
    table = TableName.parse("public.items")
    copies = tuple(
        CopySection(name=name, source_table=table, target_table=table) for name in ("items", "notes")
    )
    section = SlackSection(admin_groups=("S0ADMINS",))
    listed = CatalogueSection(table=TableName.parse("public.liquidations"))
    started: list[int] = []
    mailbox = Mailbox()
    with LocalSlackServer(manifest=ROOT / "manifest.yml") as server:
        slack = LocalSlack(server.url)
        slack.rate_limits(False)
        web = client(slack.bot_token, slack.api_url)
        surface = parts_of(
            web,
            jobs,
            jobs.engine,
            engine(prod.url),
            File(slack=section, copies=copies, liquidations=listed),
            store=jobs.store,
            history=JobHistory(jobs.engine),
            enqueue=lambda job_id: bool(started.append(job_id)) or True,
        )
        yield Bot(build_app(surface, web), mailbox, started)
        slack.close()
    mailbox.server.shutdown()
    mailbox.server.server_close()


def test_each_is_answered_in_under_a_second_none_raises_and_none_starts_anything(
    bot: Bot, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    chance = random.Random(20261124)
    typed = [(chance.choice(COMMANDS), chance.choice(PEOPLE), text(chance)) for _ in range(TEXTS)]

    def type_and_lift(at: int) -> float:
        taken = bot.type(at, *typed[at])
        # No other command freezes, as is seen below.
        if typed[at][0] == FREEZE_COMMAND and jobs.freezes.active() is not None:
            jobs.freezes.lift(BOB)
        return taken

    with ThreadPoolExecutor(4) as hands:
        seconds = list(hands.map(type_and_lift, range(TEXTS)))

    def is_slow_alone(at: int) -> bool:
        """Typed once more while nothing else is: what was late because the machine was busy is so no more."""
        typed.append(typed[at])
        return type_and_lift(len(typed) - 1) >= SECONDS

    late = [(at, taken) for at, taken in enumerate(seconds) if taken >= SECONDS]
    assert [(typed[at], taken) for at, taken in late if all(is_slow_alone(at) for _ in range(3))] == []
    assert [record.getMessage() for record in caplog.records] == []
    for at, (_, answer) in bot.mailbox.answers.items():
        assert answer["response_type"] == "ephemeral", typed[at]
        assert answer["text"].strip(), typed[at]
        check_message_blocks(answer["blocks"])
        said = json.dumps(answer, ensure_ascii=False)
        assert not any(mention in answer["text"] for mention in MENTIONS), said
        assert "Traceback" not in said

    answers = [json.dumps(answer) for _, answer in bot.mailbox.answers.values()]
    assert len(set(answers)) > TEXTS / 10
    assert any(COPY_ACTION in answer for answer in answers)  # some of them were offers, and stayed so
    assert jobs.freezes.active() is None
    assert bot.started == []
    assert jobs.store.live() == jobs.store.latest() == []
    assert jobs.outbox.take() is None

    told = {typed[at]: answer["text"] for at, (_, answer) in bot.mailbox.answers.items()}
    froze = {
        typed_ for typed_, answer in told.items() if answer.startswith(("All copies are", "Todas las copias"))
    }
    assert {command for command, _, _ in froze} == {FREEZE_COMMAND}
    assert {person for _, person, _ in froze} == {"U0ANA", "U0BOB"}
    assert [words for _, _, words in froze if not says_why(words)] == []
    assert any(says_why(words) for _, _, words in froze)


def test_a_bare_command_has_its_own_meaning(bot: Bot, jobs: Jobs) -> None:
    """The modal of the first one isn't opened here, so it asks for the number."""
    meanings = {
        COPY_COMMAND: EN("Which liquidation? Write its number after the command."),
        VERIFY_COMMAND: EN("Which liquidation? Write its number after the command."),
        STATUS_COMMAND: EN.plural("{n} copy is running or waiting.", "{n} copies are running or waiting.", 0),
        FREEZE_COMMAND: EN("Freeze all copies?"),
        AUDIT_COMMAND: EN("No copy has ended in {period}.", period=f"{datetime.now(UTC):%Y-%m}"),
    }
    assert set(meanings) == set(COMMANDS)
    for number, (command, words) in enumerate(meanings.items()):
        bot.type(number, command, "U0BOB", " \u00a0")
        assert words in bot.mailbox.answers[number][1]["text"]
    assert jobs.freezes.active() is None  # it asked, and nobody has pressed
