import io

from rich.console import Console

from asd_train.demo.account import Account
from asd_train.demo.story import Story
from asd_train.demo.view import picture, view

STORY = Story(onset_s=5.0, stream_s=20.0)


def told(states: list[str]) -> Account:
    """Decisions every second, the first window of 1 s."""
    account = Account(STORY.onset_s)
    for second, state in enumerate(states, start=1):
        message = {
            "seq": second,
            "ts": f"2026-11-21T12:00:{second:02d}.000Z",
            "window_s": 1.0,
            "state": state,
            "score": None if state == "no_signal" else 0.25,
            "threshold": 0.125,
            "p_value": 0.01,
            "event_id": "e" if state == "anomalous" else None,
            "since": "2026-11-21T12:00:08.000Z",
            "bands": [{"lo_hz": 2000.0, "hi_hz": 2800.0, "delta_db": 9.1}],
        }
        account.take("anomaly", message)
        spectrum = {"ts": message["ts"], "hi_hz": [8000.0], "level_db": [-30.0]}
        account.take("spectrum", spectrum)
    return account


def lines(account: Account) -> list[str]:
    out = io.StringIO()
    with view(Console(file=out), STORY) as screen:
        screen.show(account)
        screen.show(account)
    return out.getvalue().splitlines()


def test_without_a_terminal_changes_and_some_decisions_are_lines() -> None:
    printed = lines(told(["normal"] * 7 + ["anomalous"] * 2))
    assert [line.split()[:2] for line in printed] == [
        ["0:01", "normal"],
        ["0:06", "normal"],
        ["0:08", "anomalous"],
    ]
    assert "bearing is failing" not in printed[0]
    assert "bearing is failing" in printed[1]
    assert "score 0.25" in printed[0]


def test_what_is_not_scored_has_no_number() -> None:
    assert "score - " in lines(told(["no_signal"]))[0]


def test_the_picture_fits_its_terminal() -> None:
    accounts = [Account(5.0), told(["normal"]), told(["normal"] * 7 + ["anomalous"])]
    for account in accounts:
        for columns, rows, height in ((80, 6, 24), (100, 12, 30)):
            console = Console(width=columns, file=io.StringIO())
            body = picture(account, STORY, columns - 8, rows)
            drawn = console.render_lines(body)
            assert len(drawn) <= height - 1


def test_the_picture_tells_state_numbers_and_bands() -> None:
    out = io.StringIO()
    console = Console(width=100, file=out)
    console.print(picture(told(["normal"] * 7 + ["anomalous"]), STORY, 92, 12))
    text = out.getvalue()
    assert "factory/demo/pump  anomalous " in text
    assert "score 0.25  limit 0.125  p-value 0.01" in text
    assert "2000-2800 Hz +9.1 dB" in text


def test_on_a_terminal_the_picture_is_live() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=40)
    with view(console, STORY) as screen:
        screen.show(told(["normal"] * 3))
    assert "the bearing begins to fail" in out.getvalue()
