"""A machine to install on: this one, with folders of its own where install.sh writes.

They are put in place in a mount namespace for each command, so the script is the
shipped one and nothing of this machine is changed. Needs root.
"""

import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pip

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "install.sh"
SEEN = {
    "etc": "/etc",
    "opt": "/opt",
    "run": "/run",
    "lib": "/var/lib",
    "commands": "/usr/local/bin",
}
"""Folders of its own, and where they are seen"""
KEPT = ("opt", "commands")
"""Those in which what lies there in truth is needed too: Python may be there"""
BELOW = Path("/mnt")
"""Where that is seen"""
SYSTEMCTL = """\
#!/bin/sh
# Stands in for systemd: notes what it is told, and does as the test wants.
echo "$*" >>/run/calls
case $1 in
restart) if [ -e /run/fails ]; then exit 1; fi ;;
esac
"""
APT = """\
#!/bin/sh
echo "apt-get $*" >>/run/calls
exit 100
"""
SYNC = "#!/bin/sh\n"
"""Stands in for `sync`, which waits for all that this machine writes"""
PYTHON = """\
#!/bin/sh
# Makes an environment in no time: with the pip of the tests, not one of its own.
if [ "$2" != venv ]; then
    exec {python} "$@"
fi
{python} -m venv --without-pip "$3"
printf '#!/bin/sh\\nexec "%s/bin/python" {pip} "$@"\\n' "$3" >"$3/bin/pip"
chmod +x "$3/bin/pip"
"""
CLI = """\
import sys
def main():
    print("{version}")
    return {code}
"""
METADATA = "Metadata-Version: 2.1\nName: asd\nVersion: {version}\n"
WHEEL = (
    "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)
ENTRY = "[console_scripts]\nasd-agent = asd_agent.cli:main\n"


def fake_wheel(folder: Path, version: str, code: int = 0) -> Path:
    """A wheel of an agent that does nothing, and ends with a code."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"asd-{version}.dist-info"
    files = {
        "asd_agent/__init__.py": "",
        "asd_agent/cli.py": CLI.format(version=version, code=code),
        "asd_agent/service.py": "",
        "asd_agent/bundle/__init__.py": "",
        "asd_agent/bundle/bundle.py": 'DEFAULT_BUNDLE = "/nowhere"\n',
        f"{about}/METADATA": METADATA.format(version=version),
        f"{about}/WHEEL": WHEEL,
        f"{about}/entry_points.txt": ENTRY,
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in files)
    path = folder / f"asd-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@dataclass(frozen=True, slots=True)
class Machine:
    """The folders of one machine."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Machine":
        """A machine without the agent and without a running systemd."""
        for name in ("opt", "run", "lib", "commands", "stubs"):
            (folder / name).mkdir(parents=True)
        for name in KEPT:
            for path in Path(SEEN[name]).iterdir():
                (folder / name / path.name).symlink_to(BELOW / name / path.name)
        shutil.copytree("/etc", folder / "etc", symlinks=True)
        quick = PYTHON.format(python=sys.executable, pip=Path(pip.__file__).parent)
        stubs = {"systemctl": SYSTEMCTL, "apt-get": APT, "sync": SYNC, "quick": quick}
        for name, text in stubs.items():
            stub = folder / "stubs" / name
            stub.write_text(text)
            stub.chmod(0o755)
        return cls(folder)

    def copy(self, folder: Path) -> "Machine":
        """Another machine in the same state."""
        subprocess.run(["cp", "-a", self.folder, folder], check=True)
        return Machine(folder)

    def boot(self) -> None:
        """Let systemd run, as far as a script can see that."""
        (self.folder / "run/systemd/system").mkdir(parents=True)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command that sees the machine's own folders."""
        steps = [f"mount -t tmpfs tmpfs {BELOW}"]
        for name in KEPT:
            steps.append(f"mkdir {BELOW / name}")
            steps.append(f"mount --bind {SEEN[name]} {BELOW / name}")
        for name, place in SEEN.items():
            own = shlex.quote(str(self.folder / name))
            steps.append(f"mount --bind {own} {place}")
        script = " && ".join([*steps, 'exec "$@"'])
        path = f"{self.folder / 'stubs'}:{os.environ['PATH']}"
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *words],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    def install(
        self, *words: str | Path, python: str = "quick"
    ) -> subprocess.CompletedProcess[str]:
        """Run the script with a Python of this machine."""
        return self.run(SCRIPT, "--python", python, *words)

    def calls(self) -> list[str]:
        """What systemd and apt-get were told."""
        file = self.folder / "run/calls"
        return file.read_text().splitlines() if file.exists() else []

    def version(self) -> str | None:
        """What the agent that would be started says it is."""
        done = self.run("/opt/asd/bin/asd-agent")
        return done.stdout.strip() or None

    @property
    def versions(self) -> list[str]:
        """Folders of versions that are kept."""
        folder = self.folder / "opt/asd-versions"
        return sorted(path.name for path in folder.iterdir())
