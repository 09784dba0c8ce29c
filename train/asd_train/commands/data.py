"""The command ``data``: list, load and check recordings."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from asd_train.commands.common import Commands, command, count, positive
from asd_train.commands.recordings import LAYOUTS

if TYPE_CHECKING:
    from asd_train.data.dcase import Clip
    from asd_train.data.obtain import Item

_PARTS = ("dev", "additional", "eval", "truth")
_URL = "ASD_ZENODO_URL"
_EXAMPLE = """examples:
  asd-train data list
  asd-train data get 2023 --machines 'fan,Toy*' -o /tmp/dcase2023t2
  asd-train data check /tmp/dcase2023t2

Each has a --help of its own.
"""
_LIST = """example:
  asd-train data list 2023

The licence is what is known without asking; `data get` shows what the record states.
"""
_GET = f"""examples:
  asd-train data get 2023 --machines 'fan,Toy*' -o /tmp/dcase2023t2
  asd-train data get 2020 --parts dev,additional,eval,truth --yes

Size and licence are shown first, and agreement is asked for. What was loaded in
part is gone on with by the same command. The recordings land in
OUT/dev_data/raw/<machine> and OUT/eval_data/raw/<machine>, as the challenge's
baselines have them. {_URL} names another server than https://zenodo.org.
"""
_CHECK = """examples:
  asd-train data check /tmp/sim
  asd-train data check /tmp/dcase2023t2 --strict --seconds 2 --rate 16000

Layouts: dcase     <machine>/<train, test, source_test, target_test, test_rename>/
         mimii     <machine>/id_00/<normal, abnormal>/
         toyadmos  <machine>/case1/<NormalSound_IND, AnomalousSound_IND, ...>/
         labels    labels.csv at the root: path,machine,section,split,domain,label,
                   attributes; only path is needed
         classes   <class>/*.wav, all of it normal
Of mimii and toyadmos a fifth of the normal recordings is for testing: those whose
number leaves 4 when divided by 5.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    text = "list, load and check recordings"
    parser = command(commands, "data", text, _EXAMPLE)
    own = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_list(own)
    _add_get(own)
    _add_check(own)


def _add_list(own: Commands) -> None:
    parser = command(own, "list", "list the data sets that can be loaded", _LIST)
    parser.add_argument("year", metavar="YEAR", nargs="?", type=int)
    parser.set_defaults(run=_list)


def _add_get(own: Commands) -> None:
    text = "load a data set of DCASE Task 2 from Zenodo"
    parser = command(own, "get", text, _GET)
    parser.add_argument("year", metavar="YEAR", type=int, help="year of the challenge")
    parser.add_argument(
        "-o", dest="out", metavar="OUT", type=Path, help="folder (./dcase<YEAR>t2)"
    )
    parser.add_argument(
        "--parts",
        metavar="A,B",
        type=_words,
        default=("dev",),
        help=f"of {', '.join(_PARTS)} (dev)",
    )
    parser.add_argument(
        "--machines", metavar="A,B", type=_words, default=(), help="types, with * and ?"
    )
    parser.add_argument(
        "--yes", action="store_true", help="agree to size and licence unasked"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the archives in OUT/downloads"
    )
    parser.set_defaults(run=_get)


def _add_check(own: Commands) -> None:
    text = "count the recordings of a folder and name those that cannot be used"
    parser = command(own, "check", text, _CHECK)
    parser.add_argument("dir", metavar="DIR", type=Path, help="folder of recordings")
    parser.add_argument("--strict", action="store_true", help="fail on any problem")
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="auto", help="(%(default)s: found)"
    )
    parser.add_argument(
        "--channel", type=int, default=0, metavar="N", help="from 0 (%(default)s)"
    )
    parser.add_argument(
        "--seconds", type=positive, metavar="S", help="shortest length (any)"
    )
    parser.add_argument(
        "--rate", type=count, metavar="HZ", help="exact rate of all (any)"
    )
    parser.set_defaults(run=_check)


def _list(arguments: argparse.Namespace) -> int:
    from asd_train.data.catalogue import catalogue, entries

    rows = catalogue() if arguments.year is None else entries(arguments.year)
    print(f"{'year':5} {'part':11} {'record':36} licence")
    for entry in rows:
        print(f"{entry.year:<5} {entry.part:11} {entry.page:36} {entry.licence}")
    return 0


def _get(arguments: argparse.Namespace) -> int:
    import requests
    from tqdm import tqdm

    from asd_train.data.catalogue import entries
    from asd_train.data.obtain import obtain, plan
    from asd_train.data.zenodo import BASE_URL

    out: Path = arguments.out or Path(f"dcase{arguments.year}t2")
    chosen = entries(arguments.year, arguments.parts)
    with requests.Session() as session:
        base_url = os.environ.get(_URL, BASE_URL)
        items = plan(session, chosen, arguments.machines, out, base_url)
        todo = [item for item in items if not item.done]
        _show(items, out)
        if todo and not _agreed(arguments.yes):
            print("nothing is loaded")
            return 1
        for item in todo:
            with tqdm(
                total=item.file.size,
                desc=item.file.key,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar:

                def tell(have: int, bar: "tqdm[NoReturn]" = bar) -> None:
                    bar.update(have - bar.n)

                obtain(session, item, tell, keep=arguments.keep)
    print(f"next: asd-train data check {out}")
    return 0


def _show(items: "Sequence[Item]", out: Path) -> None:
    """Print what would be loaded."""
    for item in items:
        state = "there" if item.done else f"{item.file.size / 1e6:.1f} MB"
        print(f"{item.file.key:40} {state:>12}")
    for entry, licence in dict.fromkeys((i.entry, i.licence) for i in items):
        print(f"{entry.page}: {entry.part} of {entry.year}, licence {licence}")
    size = sum(item.file.size for item in items if not item.done)
    print(f"{size / 1e9:.2f} GB to load to {out}")


def _agreed(yes: bool) -> bool:
    from asd_agent.errors import ConfigError

    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(
            "this is no terminal, so nobody agreed to size and licence and nothing is "
            "loaded: add --yes"
        )
    try:
        answer = input("Load and unpack, under these licences? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _check(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from asd_agent.errors import SoundError
    from asd_train.data.dcase import read_clips
    from asd_train.data.reading import usable

    clips = read_clips(
        arguments.dir, layout=arguments.layout, channel=arguments.channel
    )
    if not clips:
        raise SoundError(f"{arguments.dir}: no recordings (.wav or .flac)")
    for line in _table(clips):
        print(line)
    rate_hz = arguments.rate or 16_000
    _, problems = usable(
        tqdm(clips, "checking", unit="clip", leave=False, disable=None),
        max(1, round((arguments.seconds or 0) * rate_hz)),
        rate_hz,
        keep_rate=arguments.rate is not None,
        strict=arguments.strict,
    )
    print(f"{len(clips)} recordings, {len(problems)} with problems")
    return 0


def _table(clips: "Iterable[Clip]") -> list[str]:
    """Count clips by what is known of them."""
    counts = Counter((c.machine, c.section, c.split, c.domain, c.label) for c in clips)
    rows = [("machine", "section", "split", "domain", "label", "clips")]
    rows += [(*key, str(number)) for key, number in sorted(counts.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return [
        "  ".join((cell or "-").ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    ]


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise argparse.ArgumentTypeError("expected words with commas between")
    return words
