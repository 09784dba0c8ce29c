"""Web servers that are right or wrong in one thing, and whether files are taken."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asd_agent.errors import AsdError
from asd_agent.update.download import HttpsFetcher
from asd_agent.update.patience import Patience
from support.authority import FUTURE, PAST, Authority, Pair
from support.broker import Certificates
from support.staging import NEVER, fetched, files, stage
from support.web import Request, WebServer, serve

ONCE = Patience(tries=1, pause_s=0.01)
CONTENTS = files(20_000)


def _to_http(request: Request) -> None:
    """Send the client to a server without TLS."""
    request.head(302, Location="http://localhost:1/model.onnx", Content_Length=0)


@dataclass(frozen=True, slots=True)
class WebRow:
    """One web server."""

    name: str
    taken: bool
    says: str = ""
    """Part of the refusal"""
    make: Callable[[Authority, Authority], Pair] = lambda right, _: right.sign(
        "web", "localhost"
    )
    answer: Callable[[Request], None] = serve
    url: str | None = None
    """None: its own"""


NO = "certificate of the web server is not accepted"
WEB_ROWS = (
    WebRow("right authority", True),
    WebRow(
        "authority of somebody else",
        *(False, NO),
        lambda _, wrong: wrong.sign("w", "localhost"),
    ),
    WebRow(
        "signed by itself",
        *(False, NO),
        lambda right, _: right.sign("w", "localhost", itself=True),
    ),
    WebRow(
        "another host's name",
        *(False, NO),
        lambda right, _: right.sign("w", "files.example"),
    ),
    WebRow("the name in the old place alone", True, "", lambda a, _: a.sign("w")),
    WebRow(
        "no name at all",
        *(False, NO),
        lambda right, _: right.sign("w", common="somebody"),
    ),
    WebRow(
        "expired",
        *(False, f"{NO}: certificate has expired"),
        lambda right, _: right.sign("w", "localhost", period=PAST),
    ),
    WebRow(
        "not yet valid",
        *(False, f"{NO}: certificate is not yet valid"),
        lambda right, _: right.sign("w", "localhost", period=FUTURE),
    ),
    WebRow("a redirect to http", False, "302", answer=_to_http),
    WebRow("http elsewhere", False, "https://", url="http://files.example/pump-3"),
    WebRow("a password in it", False, "", url="https://u:hunter2@localhost/pump-3"),
)


def fetch(row: WebRow, folder: Path) -> tuple[bool, str]:
    """Fetch two files; whether they were taken, and what was said otherwise."""
    place = folder / row.name.replace(" ", "-")
    right = Authority(place / "right")
    pair = row.make(right, Authority(place / "wrong", "somebody else"))
    tls = Certificates(right.ca, pair.cert, pair.key)
    staged = stage(place / "bundle", CONTENTS)
    with WebServer(CONTENTS, tls=tls, answer=row.answer) as server:
        try:
            fetcher = HttpsFetcher(row.url or server.base_url, right.ca, patience=ONCE)
            fetcher.fetch(staged, NEVER, lambda here, total: None)
        except AsdError as error:
            assert fetched(staged) == {}
            return False, str(error)
    return fetched(staged) == CONTENTS, ""
