"""The commands of ``asd-agent bundle``."""

import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle, read_signature
from asd_agent.bundle.disk import read_plain
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES
from asd_agent.bundle.selftest import verify
from asd_agent.bundle.signature import load_public_key
from asd_agent.bundle.state import BASE, MAX_STARTS, StoreState
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import MANIFEST_FILE, Trust
from asd_agent.config import BundleConfig, Config
from asd_agent.config_file import load
from asd_agent.errors import BundleError, ConfigError
from asd_agent.progress import Progress
from asd_agent.setup import check_state_dir, open_bundle, store_of, trust_of
from asd_agent.update.desired import Desired
from asd_agent.update.fetch import FolderFetcher
from asd_agent.update.report import Report
from asd_agent.updating import installer_of

log = logging.getLogger(__name__)

HEAD = ("bundle", "version", "signature", "state", "bytes", "installed")


def list_bundles(args: Namespace) -> int:
    """Print a row for each bundle of the device."""
    config = load(args.config)
    print(*_table([HEAD, *_rows(config, store_of(config))]), sep="\n")
    return 0


def verify_bundle(args: Namespace) -> int:
    """Check a bundle as an installation would, with every model file."""
    config, bundle = _asked(args)
    manifest = bundle.manifest
    total = sum(entry.bytes for entry in manifest.files.values())
    files = len(manifest.files)
    print(f"{manifest.id} version {manifest.version}: {_signer(bundle)}")
    print(f"{files} files, {total:,} bytes: whole", flush=True)
    log.info("computing the golden numbers in a child process")
    proof = verify(
        bundle.path, config.runtime, config.test_timeout_s, config.test_memory_bytes
    )
    print(*proof.lines(), sep="\n")
    proof.require()
    return 0


def install(args: Namespace) -> int:
    """Install a bundle from a folder and put it on trial."""
    config = load(args.config)
    if config.bundle.path is not None:
        raise BundleError(
            f"{args.config}: bundle.path names {config.bundle.path}, which stays. "
            "Remove bundle.path to have others installed",
            "pinned",
        )
    check_state_dir(config.state_dir)
    store = store_of(config)
    bundle = Bundle.open(args.folder, trust_of(config))
    manifest = bundle.manifest
    if _runs(store, bundle):
        print(f"{manifest.id} version {manifest.version} runs already")
        return 0
    if args.again:
        store.change(lambda state: state.forgiven(manifest.id))
    desired = Desired(
        _raw(args.folder),
        read_signature(args.folder) or b"",
        id=manifest.id,
        version=manifest.version,
    )
    with ExitStack() as stack:
        screen = _Screen(stack)
        installer = installer_of(
            config,
            store,
            screen.show,
            allow_downgrade=args.allow_downgrade,
            learn_anew=args.learn_anew,
        )
        installer.run(desired, FolderFetcher(args.folder))
    print(
        f"{manifest.id} version {manifest.version} is installed and on trial: an agent "
        "that runs switches to it now, else its next start does. It stays after "
        f"{config.bundle.commit_windows} healthy windows"
    )
    return 0


def rollback(args: Namespace) -> int:
    """Go back to the bundle before."""
    config = load(args.config)
    store = store_of(config)
    gone = store.read().current
    state = store.change(lambda state: state.rolled_back("by_hand", of=gone))
    print(
        f"{gone} is rolled back and will not be tried again. From now on runs "
        f"{state.current or 'the bundle that comes with the software'}"
    )
    return 0


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {
    "list": list_bundles,
    "verify": verify_bundle,
    "install": install,
    "rollback": rollback,
}


class _Screen:
    """Shows on the terminal how an installation goes."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._progress: Progress | None = None

    def show(self, report: Report) -> None:
        """Draw the bytes that are here; the steps are in the log."""
        if report.state != "downloading" or report.reason is not None:
            return
        if self._progress is None:
            bar = Progress(sys.stderr, "copying", report.total, "bytes")
            self._progress = self._stack.enter_context(bar)
        self._progress.reach(report.bytes)


def _runs(store: Store, bundle: Bundle) -> bool:
    """Whether this very bundle is the current one."""
    current = store.read().current
    if current != bundle.manifest.id:
        return False
    try:
        return _raw(store.path(current)) == _raw(bundle.path)
    except BundleError:  # damaged: let it be installed again
        return False


def _asked(args: Namespace) -> tuple[BundleConfig, Bundle]:
    """The bundle that shall be verified, and the limits for it."""
    if args.config is not None:
        if args.trusted_key or args.allow_unsigned:
            raise ConfigError(
                "asd-agent bundle verify: --config says whose bundles are taken: leave "
                "out --trusted-key and --allow-unsigned"
            )
        config = load(args.config)
        if args.folder is None:
            return config.bundle, open_bundle(config)
        return config.bundle, Bundle.open(args.folder, trust_of(config))
    if args.folder is None or not (args.trusted_key or args.allow_unsigned):
        raise ConfigError(
            "asd-agent bundle verify: say --config FILE, or FOLDER with --trusted-key "
            "PUB or --allow-unsigned"
        )
    keys = tuple(load_public_key(path) for path in args.trusted_key)
    trust = Trust(keys, args.allow_unsigned, args.device_class)
    return BundleConfig(), Bundle.open(args.folder, trust)


def _rows(config: Config, store: Store) -> Iterator[tuple[str, ...]]:
    """A row for each bundle, the one that needs no store first."""
    state = store.read()
    pinned = config.bundle.path is not None
    path = config.bundle.path or DEFAULT_BUNDLE
    trust = trust_of(config) if pinned else None
    runs = "current, bundle.path" if pinned else _role(BASE, state)
    yield _row(path, trust, runs)
    for bundle in store.bundles():
        role = "" if pinned else _role(bundle, state)
        yield _row(store.path(bundle), trust_of(config), role)
    for bundle, reason in state.rejected.items():
        if bundle not in store.bundles():
            yield (bundle, "", "", f"rejected: {reason}", "", "")


def _role(bundle: str, state: StoreState) -> str:
    if bundle != BASE and bundle in state.rejected:
        return f"rejected: {state.rejected[bundle]}"
    if bundle == state.current:
        if state.trial is None:
            return "current"
        return f"current, on trial, {state.trial.starts} of {MAX_STARTS} starts"
    return "previous" if bundle == state.previous else ""


def _row(path: Path, trust: Trust | None, role: str) -> tuple[str, ...]:
    when = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    try:
        bundle = Bundle.open(path, trust)
    except BundleError as error:
        state = ", ".join(filter(None, (role, f"not usable: {error.reason}")))
        return (path.name, "", "", state, "", f"{when:%Y-%m-%d %H:%M}")
    manifest = bundle.manifest
    total = sum(entry.bytes for entry in manifest.files.values())
    return (
        manifest.id,
        str(manifest.version),
        _signer(bundle),
        role,
        f"{total:,}",
        f"{when:%Y-%m-%d %H:%M}",
    )


def _signer(bundle: Bundle) -> str:
    if bundle.path == DEFAULT_BUNDLE:
        return "part of the software"
    return f"signed by {bundle.signed_by}" if bundle.signed_by else "unsigned, allowed"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _raw(folder: Path) -> bytes:
    try:
        return read_plain(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be read: {error.strerror}") from error
