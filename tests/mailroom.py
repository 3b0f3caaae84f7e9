"""Where notifications arrive: a real SMTP server with STARTTLS and login, and a real HTTP receiver."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from dev.ports import candidate_port

USER, PASSWORD = "traspaso", "p@ss/w0rd%41"
SENDER, OPS = "traspaso@acme.example", "ops@acme.example"


@dataclass(frozen=True)
class Mail:
    """One that arrived, parsed; for whom the server took it."""

    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """Its part as text, without the ends of lines that a mail adds."""
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None, f"the mail has no {kind} part"
        return str(part.get_content()).strip()


class MailServer:
    """Takes mail over STARTTLS only, and after a login only. Keeps its port while it is down.

    It refuses recipients of ``refused``, and waits with each recipient while it is ``held``.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._context)
        self.mails: list[Mail] = []
        self.logins = 0
        self.refused: set[str] = set()
        self.held = False
        self.holds = threading.Event()
        self._controller: Controller | None = None
        self._port = candidate_port()

    def url(self, *recipients: str, password: str = PASSWORD) -> str:
        """As an operator writes it; without recipients for `mail_requester`."""
        login = f"{quote(USER)}:{quote(password, safe='')}"
        to = f"&to={','.join(recipients)}" if recipients else ""
        return f"mailtos://{login}@localhost:{self._port}?mode=starttls&from={SENDER}{to}"

    def start(self) -> None:
        self._controller = Controller(
            self,
            hostname="localhost",
            port=self._port,
            tls_context=self._context,
            require_starttls=True,
            auth_required=True,
            authenticator=self._login,
        )
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(
        self, server: object, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        while self.held:
            self.holds.set()
            await asyncio.sleep(0.05)
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(Mail(tuple(envelope.rcpt_tos), message))
        return "250 OK"

    def _login(
        self, server: object, session: object, envelope: object, mechanism: str, data: Any
    ) -> AuthResult:
        self.logins += 1
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=known, handled=False)


@dataclass(frozen=True)
class Post:
    """One request to the receiver."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Receiver:
    """A webhook on HTTP that answers ``status``. ``environment`` is that of the processes that call it."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.status = 200
        self.environment: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.posts.append(Post(self.path, dict(self.headers.items()), body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self._server.server_address[1]}/hooks/s3cret-path"

    def about(self, words: str) -> list[Post]:
        """Those with these words in their title."""
        return [post for post in self.posts if words in post.body["title"]]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
