"""The owner's account: a Unix user with a home, whose files, processes and terminal bytes are compared around a command.

As root, a user of its own is made (and taken away again), which may talk to the Docker engine and see nothing else of
root's. Where the tests do not run as root, it is the current user with a HOME of its own, and /tmp is not compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import hashlib
import os
import pty
import pwd
import resource
import secrets
import select
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import world

COLUMNS, LINES = 120, 40
DATA = 6 << 30  # bytes: the most that one process of the owner's may have, so that a bomb does not end this machine
_READ: dict[tuple[str, int, int, int, int], str] = {}
_MARK = "CLAUDE_BOTTLE_TEST_OWNER"  # in the environment of every process of an owner's
_FILES = {
    ".ssh/id_ed25519": "-----BEGIN OPENSSH PRIVATE KEY-----\nof nobody\n-----END OPENSSH PRIVATE KEY-----\n",
    ".gitconfig": '[user]\n\tname = Owner\n\temail = owner@example.com\n[alias]\n\tst = "!git status"\n'
    "[core]\n\teditor = vim\n\tpager = cat\n[credential]\n\thelper = store\n",
    ".git-credentials": "https://owner:password@git.example.com\n",
    ".bashrc": "alias ll='ls -l'\n",
    ".vimrc": "set exrc\nset modeline\n",
    ".config/nvim/init.lua": "vim.o.exrc = true\n",
    ".config/Code/User/settings.json": '{"task.allowAutomaticTasks": "on"}\n',
    ".local/bin/mine": "#!/bin/sh\necho mine\n",
}


def _of_its_own(most: int, resident: int) -> int:
    """Kilobytes at most of a command. What this process had when it forked counts for its child (getrusage(2))."""
    return most if most > resident * 1.1 else 0


@dataclass(frozen=True)
class Ran:
    """What a command has done. seconds, kilobytes: how long, and of its largest process. ended: by itself, in time."""

    argv: list[str]
    status: int
    terminal: bytes
    seconds: float
    kilobytes: int
    ended: bool
    changed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The terminal's bytes as text, with plain line ends."""
        return self.terminal.decode(errors="replace").replace("\r\n", "\n")


@dataclass
class Owner:
    """name, uid, gid: of the user. run_id: what its processes are known by. canary: a folder that anybody can write to."""

    name: str
    home: Path
    uid: int
    gid: int
    canary: Path
    run_id: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def separate(self) -> bool:
        """Whether it is a user of its own."""
        return os.geteuid() == 0

    @property
    def project(self) -> Path:
        return self.home / "project"

    def take(self, *paths: Path) -> None:
        """Make all of it the owner's."""
        if self.separate:
            for path in paths:
                subprocess.run(["chown", "-hR", f"{self.uid}:{self.gid}", str(path)], check=True)

    def run(
        self,
        *argv: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float = 180,
        keys: bytes = b"",
        after: bytes = b"",
    ) -> Ran:
        """Run on a terminal of its own, in the account. keys: typed `after` these bytes were seen.

        Its files and processes are compared: `changed` and `left` of what comes back.
        """
        before, had = self.files(), set(self.processes())
        begun, out, typed, ended = time.monotonic(), b"", not keys, True
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 10
        pid, master = pty.fork()
        if pid == 0:  # the child
            try:
                os.chdir(cwd or self.home)
                resource.setrlimit(resource.RLIMIT_DATA, (DATA, DATA))
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                whole = self._argv(argv)
                os.execvpe(whole[0], whole, {**self._environment(), **(env or {})})
            finally:
                os._exit(127)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        try:
            while True:
                if time.monotonic() - begun > seconds:
                    ended = False
                    break
                if not select.select([master], [], [], 0.5)[0]:
                    # What it has left behind may keep the terminal open.
                    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                        break
                    continue
                try:
                    data = os.read(master, 65536)
                except OSError:  # the terminal's other side is closed
                    break
                if not data:
                    break
                out += data
                if not typed and after in out:
                    time.sleep(4)
                    os.write(master, keys)
                    typed = True
        finally:
            if not ended:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                    os.kill(pid, signal.SIGKILL)
            _, status, used = os.wait4(pid, 0)
            os.close(master)
        took = time.monotonic() - begun
        left = self._left(had)
        return Ran(
            list(argv), os.waitstatus_to_exitcode(status), out, took, _of_its_own(used.ru_maxrss, resident), ended,
            _differing(before, self.files()), left,
        )  # fmt: skip

    def plain(self, script: str, cwd: Path | None = None) -> str:
        """A shell script as the owner, without a terminal and without being compared: to prepare something."""
        argv = self._argv(["bash", "-euc", script])
        done = subprocess.run(
            argv, cwd=cwd or self.home, env=self._environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self) -> dict[str, str]:
        """Path to type, mode, owner and contents, of the home; of /tmp what the user owns; of the canary's folder all."""
        files = {str(path): _digest(path) for path in _below(self.home)}
        files |= {str(path): _digest(path) for path in _below(self.canary)}
        if self.separate:
            for place in ("/tmp", "/var/tmp", "/dev/shm"):
                argv = ["find", place, "-xdev", "-uid", str(self.uid), "-print0"]
                stdout = subprocess.run(argv, capture_output=True, check=False).stdout
                files |= {os.fsdecode(name): "owned" for name in stdout.split(b"\0") if name}
        return files

    def processes(self) -> list[str]:
        """Pid and command of every process of the owner's."""
        processes = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                mine = f"{_MARK}={self.run_id}".encode() in (folder / "environ").read_bytes().split(b"\0")
                mine = mine or (self.separate and folder.stat().st_uid == self.uid)
                if mine and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    processes.append(f"{folder.name} {words}")
            except OSError:  # gone, or somebody else's
                continue
        return processes

    def ran(self) -> list[str]:
        """What payloads have left."""
        return sorted(path.name for path in self.canary.iterdir())

    def end(self) -> None:
        """End its processes."""
        for _ in range(20):
            processes = self.processes()
            for process in processes:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(int(process.split()[0]), signal.SIGKILL)
            if not processes:
                return
            time.sleep(0.1)

    def _left(self, had: set[str]) -> list[str]:
        """What is there still; a moment is given to what is ending."""
        for _ in range(30):
            left = [process for process in self.processes() if process not in had]
            if not left:
                return []
            time.sleep(0.1)
        return left

    def _environment(self) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "VIRTUAL_ENV", "DOCKER_HOST") if key in os.environ}
        own = {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "SHELL": "/bin/bash"}
        fixed = {"LANG": "C.UTF-8", "TERM": "xterm-256color", "PYTHONDONTWRITEBYTECODE": "1", _MARK: self.run_id}
        pulumi = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
        return {**kept, **own, **fixed, **pulumi, **self.env}

    def _argv(self, argv: Sequence[str]) -> list[str]:
        if not self.separate:
            return list(argv)
        groups = f"{self.gid},{_socket_group()}"
        user = ["setpriv", "--reuid", str(self.uid), "--regid", str(self.gid), "--groups", groups, "--", *argv]
        script = _views(self.home.parent)
        return user if not script else ["unshare", "-m", "--propagation", "private", "sh", "-euc", script, "sh", *user]


@contextlib.contextmanager
def account(elsewhere: Path) -> Iterator[Owner]:
    """Make the account; taken away again, with its processes. elsewhere: where its home is, without root."""
    run_id = secrets.token_hex(4)
    canary = Path(tempfile.mkdtemp(prefix=f"claude-bottle-ran-{run_id}-"))
    canary.chmod(0o1777)
    name = f"cbowner{run_id}"
    if os.geteuid() == 0:
        # Not the uid of the agent's user, whose processes are seen from here.
        make = ["useradd", "-K", "UID_MIN=20000", "-K", "GID_MIN=20000", "-m", "-s", "/bin/bash", name]
        subprocess.run(make, check=True, capture_output=True)
        entry = pwd.getpwnam(name)
        owner = Owner(name, Path(entry.pw_dir), entry.pw_uid, entry.pw_gid, canary, run_id)
    else:
        (elsewhere / "home").mkdir()
        owner = Owner(
            pwd.getpwuid(os.geteuid()).pw_name, elsewhere / "home", os.geteuid(), os.getegid(), canary, run_id
        )
    try:
        _furnish(owner)
        yield owner
    finally:
        owner.end()
        shutil.rmtree(canary, ignore_errors=True)
        if owner.separate:
            subprocess.run(["userdel", "-r", name], check=False, capture_output=True)
        shutil.rmtree(owner.home, ignore_errors=True)
        assert not owner.separate or name not in {entry.pw_name for entry in pwd.getpwall()}
        assert name not in {entry.gr_name for entry in grp.getgrall()}


def _furnish(owner: Owner) -> None:
    for name, text in _FILES.items():
        path = owner.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in (".ssh", ".ssh/id_ed25519", ".git-credentials"):
        path = owner.home / name
        path.chmod(0o700 if path.is_dir() else 0o600)
    (owner.home / ".local/bin/mine").chmod(0o755)
    plugins = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    for name in plugins.glob("resource-*"):
        if name.is_dir():
            shutil.copytree(name, owner.home / ".pulumi/plugins" / name.name)
    owner.take(owner.home)


def _socket_group() -> int:
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    return Path(address.removeprefix("unix://")).stat().st_gid if address.startswith("unix://") else 0


def _views(stage: Path) -> str:
    """A shell script that shows the owner what it needs of folders that are closed to it; "" where there are none.

    Run in a mount namespace of its own, so that nobody else sees a difference.
    """
    needed = {Path(sys.base_prefix), world.ROOT, Path(os.environ["VIRTUAL_ENV"]).resolve()}
    needed |= {Path(word) for word in os.environ["PATH"].split(":") if word and Path(word).is_dir()}
    closed: dict[Path, set[Path]] = {}
    for path in needed:
        for folder in reversed(path.parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(folder, set()).add(path)
                break
    script = []
    for number, (folder, paths) in enumerate(sorted(closed.items())):
        # First aside, then back below a folder of nothing.
        paths = {path for path in paths if not any(other in path.parents for other in paths)}
        aside = f"/mnt/claude-bottle-{number}"
        script += [f"mount -t tmpfs -o mode=755 tmpfs /mnt; mkdir -p {aside}"] if number == 0 else [f"mkdir -p {aside}"]
        for at, path in enumerate(sorted(paths)):
            script.append(f"mkdir -p {aside}/{at}; mount --bind {shlex.quote(str(path))} {aside}/{at}")
        script.append(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(folder))}")
        for at, path in enumerate(sorted(paths)):
            place = shlex.quote(str(path))
            script.append(f"mkdir -p {place}; mount --bind {aside}/{at} {place}")
    return "; ".join([*script, "cd .", 'exec "$@"']) if script else ""


def _below(root: Path) -> Iterator[Path]:
    yield root
    for folder, folders, names in os.walk(root):
        yield from (Path(folder) / name for name in (*folders, *names))


def _digest(path: Path) -> str:
    """Type, mode, owner and contents; not the time."""
    try:
        status = path.lstat()
        words = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
        if stat.S_ISLNK(status.st_mode):
            return f"{words} -> {path.readlink()}"
        if stat.S_ISREG(status.st_mode):
            # The time of the last change of anything, which no user can set, tells whether it must be read again.
            key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if key not in _READ:
                with path.open("rb") as file:
                    _READ[key] = hashlib.file_digest(file, "sha256").hexdigest()
            return f"{words} {_READ[key]}"
        return words
    except OSError as error:
        return f"{error.strerror}"


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
