"""The files of a checkout's `.git` that the agent gets: objects, refs, HEAD, index, and a config of its own.

Everything else stays on the host: hooks, logs, other worktrees, files of other programs. Standard library only.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from claude_bottle.host.child_env import child_env
from claude_bottle.workspace.host_folder import all_files

# gitrepository-layout(5). A submodule has the same files below modules/.
_FILES = re.compile(
    r"(?:modules/.+?/)?(?:HEAD|packed-refs|refs/.+|reftable/.+|index|shallow|info/exclude|info/sparse-checkout"
    r"|objects/[0-9a-f]{2}/[0-9a-f]{38,62}|objects/pack/pack-[0-9a-f]+\.[a-z]+"
    r"|objects/info/(?:packs|commit-graph|commit-graphs/.+))\Z"
)
_CONFIG = re.compile(r"(?:modules/.+/)?config\Z")
# git-config(1): keys that define how the repository is stored, and where its branches and remotes are. No value of
# these is a command, an included file or a credential.
_KEYS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|ignorecase|precomposeunicode|symlinks|autocrlf|eol|safecrlf"
    r"|sparsecheckout|sparsecheckoutcone|logallrefupdates|quotepath|worktree)"
    r"|extensions\.(objectformat|refstorage|partialclone)|index\.sparse"
    r"|branch\..+\.(remote|merge|rebase|pushremote)|remote\..+\.(url|pushurl|fetch|push|tagopt|prune|promisor|partialclonefilter)"
    r"|submodule\..+\.(url|active|branch|ignore)|submodule\.active|user\.(name|email)"
    r"|pull\.rebase|push\.default|init\.defaultbranch",
    re.IGNORECASE,
)


# gitremote-helpers(7), git-clone(1): forms of a URL that contain no password, no query and no program.
_HOST = r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
_URL = re.compile(
    rf"(?:(?:https?|git|file)://(?:{_HOST})?|ssh://(?:[\w.-]+@)?{_HOST}|(?:[\w.-]+@)?[\w.-]+:(?![:/]/)|\.{{0,2}}/)"
    r"[^\s?#@\\]*\Z"
)
_REMOTE = re.compile(r"[\w./-]+\Z")


def git_files(root: Path) -> list[str]:
    """Names below `.git` that are copied unchanged."""
    folder = root / ".git"
    names = (name for name in all_files(folder) if _FILES.match(name) and not name.endswith(".lock"))
    return [name for name in names if (folder / name).is_file() and not (folder / name).is_symlink()]


def git_configs(root: Path, to: Path) -> list[str]:
    """Write the agent's config files below `to`, laid out as below `.git`. Returns the keys that were left out.

    Raises OSError if git cannot read one.
    """
    left = set()
    for name in filter(_CONFIG.match, all_files(root / ".git")):
        file = to / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        for key, value in entries(root / ".git" / name):
            if _KEYS.fullmatch(key) and not (key == "core.worktree" and name == "config"):
                git_output("config", "--file", str(file), "--add", key, value)
            else:
                left.add(key)
    return sorted(left)


def git_problems(root: Path) -> Iterator[str]:
    """Reasons why this `.git` cannot be copied."""
    folder = root / ".git"
    if not folder.exists():
        yield "there is no .git to copy"
    elif not folder.is_dir():
        yield "its .git is a file (a linked worktree or a submodule); name the main checkout, or leave copy_git out"
    elif (folder / "objects/info/alternates").exists():
        yield (
            "its .git borrows objects from another repository; run git repack -a -d && rm .git/objects/info/alternates"
        )
    else:
        for name in filter(_CONFIG.match, all_files(folder)):
            yield from (f".git/{name}: {wrong}" for wrong in _credentials(folder / name))


def object_bytes(root: Path) -> Iterator[bytes]:
    """The contents of every object of the repository and of its submodules, in chunks. Raises OSError."""
    folder = root / ".git"
    for head in [folder / "HEAD", *folder.glob("modules/**/HEAD")]:
        if not (head.parent / "objects").is_dir():
            continue
        argv = [
            "git",
            f"--git-dir={head.parent}",
            "cat-file",
            "--batch-all-objects",
            "--batch",
            "--buffer",
            "--unordered",
        ]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=child_env()) as child:
            assert child.stdout is not None  # noqa: S101 - asked for above
            while piece := child.stdout.read(1 << 20):
                yield piece
        if child.returncode != 0:
            raise OSError(f"git cannot read the objects of {head.parent}")


def entries(file: Path) -> Iterator[tuple[str, str]]:
    """Normalised keys and values of one config file, without its includes. Raises OSError if git cannot read it."""
    for entry in filter(None, git_output("config", "--file", str(file), "--no-includes", "--list", "-z").split("\0")):
        key, separator, value = entry.partition("\n")
        yield key, value if separator else "true"


def git_output(*argv: str) -> str:
    """The standard output of git. Raises OSError with the first line of its error if it fails."""
    done = subprocess.run(
        ["git", *argv], capture_output=True, text=True, check=False, errors="surrogateescape", env=child_env()
    )
    if done.returncode != 0:
        raise OSError((done.stderr.strip().splitlines() or ["git failed"])[0])
    return done.stdout


def _credentials(file: Path) -> Iterator[str]:
    try:
        settings = list(entries(file))
    except OSError as error:
        yield f"cannot be read: {error}"
        return
    for key, value in settings:
        last = key.rpartition(".")[2]
        if last == "extraheader":
            yield f"{key} holds a credential; run git config --unset-all {key}"
        elif last in ("insteadof", "pushinsteadof") and not _URL.match(key.removeprefix("url.").rpartition(".")[0]):
            yield (
                f"a rewritten URL ({last}) may hold a credential; remove it with git config --unset-all, or write it"
                " without"
            )
        elif last in ("url", "pushurl") and not _URL.match(value):
            yield f"{last} of a remote may hold a credential; write it as https://host/path or git@host:path"
        elif key.startswith("branch.") and last in ("remote", "pushremote") and not _REMOTE.match(value):
            yield f"{last} of a branch may hold a credential; write the name of a remote"
