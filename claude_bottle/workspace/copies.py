"""Everything that a manifest takes from the host: found, checked and hashed before any resource. No Pulumi."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from claude_bottle import ROOT
from claude_bottle.manifest.model import Manifest, WorkspaceConfig
from claude_bottle.policy.errors import NOT_SHOWN, BottleError, Finding
from claude_bottle.workspace import looked_over
from claude_bottle.workspace.git_folder import git_problems
from claude_bottle.workspace.git_mounts import GitPlaces, git_places
from claude_bottle.workspace.host_folder import AGENT_UID, Item, all_files, digest, items, problems, workspace_files
from claude_bottle.workspace.owner_branches import digest_of, heads

_MAX_PROMPT = 256 * 1024
_SYSTEM = ("/proc", "/sys", "/dev", "/run", "/var/run", "/etc", "/boot", "/var/lib/docker")


@dataclass(frozen=True)
class SkillCopy:
    """A skill folder of the host."""

    name: str
    source: str
    digest: str


@dataclass(frozen=True)
class Workspace:
    """A workspace of the host. files and digest are set for a copy only, git and nosuid for a mount only.

    branches: a digest of the branches and their commits, for a copy with its `.git`. nosuid: the folder's file system
    ignores set-id bits.
    """

    source: str
    mode: str
    copy_git: bool = False
    files: int = 0
    digest: str = ""
    branches: str = ""
    git: GitPlaces = field(default_factory=GitPlaces)
    nosuid: bool = False


@dataclass(frozen=True)
class Copies:
    """Everything of the host that the agent gets."""

    prompt: str = ""
    skills: Sequence[SkillCopy] = ()
    workspace: Workspace | None = None

    @property
    def digest(self) -> str:
        """A digest of everything that is copied."""
        copied = (self.workspace.digest, self.workspace.branches) if self.workspace else None
        content = (self.prompt, [(skill.name, skill.digest) for skill in self.skills], copied)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass
class Reader:
    """Reads the folders and files named by the manifest. base: folder of the stack file. secrets: not to be copied."""

    base: Path
    secrets: Sequence[bytes] = ()
    home: Path = field(default_factory=Path.home)
    findings: list[Finding] = field(default_factory=list)

    def holds_token(self, data: bytes) -> bool:
        """Whether the bytes contain one of the secrets."""
        return any(secret in data for secret in self.secrets)

    def read(self, manifest: Manifest) -> Copies:
        """Everything to copy or mount. Problems are added to `findings`."""
        skills = [skill for index, name in enumerate(manifest.skills) for skill in self._skill(index, name)]
        names = [skill.name for skill in skills]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._say("skills", name, "two skills have this name; the agent's skills folder can hold one")
        workspace = self._workspace(manifest.workspace) if manifest.workspace else None
        return Copies(self._prompt(manifest), skills, workspace)

    def _say(self, path: str, value: object, message: str) -> None:
        self.findings.append(Finding(path, value, message))

    def _host_path(self, name: str) -> Path:
        if name == "~" or name.startswith("~/"):
            return self.home / name[2:]
        return self.base / name

    def _prompt(self, manifest: Manifest) -> str:
        if manifest.prompt is None:
            return ""
        path, text = "prompt.text", manifest.prompt.text or ""
        if manifest.prompt.file:
            path = "prompt.file"
            file = self._host_path(manifest.prompt.file)
            try:
                text = file.read_text()
            except (OSError, ValueError) as error:
                why = "is not UTF-8 text" if isinstance(error, ValueError) else f"{error.strerror} ({file})"
                self._say(path, manifest.prompt.file, why)
                return ""
        if not text.strip() or len(text) > _MAX_PROMPT:
            self._say(path, NOT_SHOWN, f"a prompt has 1 to {_MAX_PROMPT} characters")
        if self.holds_token(text.encode()):
            self._say(path, NOT_SHOWN, "holds the value of one of the bottle's tokens; the agent must not have it")
        return text.rstrip("\n") + "\n"

    def _skill(self, index: int, name: str) -> Iterator[SkillCopy]:
        path = f"skills[{index}]"
        folder = self._host_path(name) if "/" in name else self.home / ".claude/skills" / name
        if not folder.is_dir():
            self._say(path, name, f"no such folder: {folder}; a name is looked up there, a path needs a slash")
        elif not (folder / "SKILL.md").is_file():
            self._say(path, name, f"{folder} has no SKILL.md, so it is not a skill")
        else:
            files = self._items(path, name, folder, all_files(folder), links_stay_inside=True)
            yield SkillCopy(folder.name, str(folder.resolve()), digest(files))

    def _workspace(self, config: WorkspaceConfig) -> Workspace | None:
        path, folder = "workspace.path", self._host_path(config.path)
        if not folder.is_dir():
            self._say(path, config.path, f"no such folder: {folder}; create it, or name an existing one")
            return None
        folder = folder.resolve()
        if wrong := self._too_much(folder, config):
            self._say(path, config.path, wrong)
            return None
        if config.mode == "mount":
            owner = folder.stat()
            if owner.st_uid != AGENT_UID and not owner.st_mode & 0o002:
                self._say(
                    path, config.path, f"the agent (uid {AGENT_UID}) cannot write there: write mode: copy, or chown it"
                )
            try:
                places = git_places(folder)
            except OSError as error:
                places = GitPlaces(wrong=f"git cannot list its submodules: {error}")
            if places.wrong:
                self._say(path, config.path, places.wrong)
            nosuid = bool(os.statvfs(folder).f_flag & os.ST_NOSUID)
            return Workspace(str(folder), config.mode, git=places, nosuid=nosuid)
        try:
            names = workspace_files(folder)
        except OSError as error:
            self._say(path, config.path, f"git cannot list it: {error}")
            return None
        if config.copy_git:
            for wrong in self._git_problems(folder):
                self._say("workspace.copy_git", True, wrong)
        files = self._items(path, config.path, folder, names, links_stay_inside=False)
        branches = self._branches(folder) if config.copy_git else ""
        return Workspace(str(folder), config.mode, config.copy_git, len(files), digest(files), branches)

    @staticmethod
    def _branches(folder: Path) -> str:
        try:
            return digest_of(heads(folder))
        except BottleError:
            return ""  # _git_problems reports it

    def _git_problems(self, folder: Path) -> list[str]:
        wrong = list(git_problems(folder))
        try:
            if not wrong and looked_over.holds_token(folder, self.holds_token, self.secrets):
                wrong = [".git holds the value of one of the bottle's tokens (git log -S…); the agent must not have it"]
        except OSError as error:
            wrong = [f".git cannot be read: {error}"]
        return wrong

    def _items(self, path: str, value: str, folder: Path, names: list[str], *, links_stay_inside: bool) -> list[Item]:
        wrong = list(problems(folder, names, links_stay_inside=links_stay_inside))
        wrong += [
            f"{name} holds the value of one of the bottle's tokens; the agent must not have it"
            for name in names
            if not wrong and (folder / name).is_file() and self.holds_token((folder / name).read_bytes())
        ]
        for message in wrong[:10]:
            self._say(path, value, message)
        return [] if wrong else items(folder, names)

    def _too_much(self, folder: Path, config: WorkspaceConfig) -> str | None:
        """Why this folder cannot be a workspace: it would expose private files or let the agent change its bottle."""
        private = [
            self.home / name
            for name in (".ssh", ".aws", ".azure", ".claude", ".gnupg", ".docker", ".kube", ".config", ".local/state")
        ]
        for other in (self.home, *private):
            if other.resolve().is_relative_to(folder):
                return f"holds {other}: name the project's own folder"
        for other in (*private, *map(Path, _SYSTEM)):
            if folder.is_relative_to(other):
                return f"is inside {other}, which no agent should have"
        own = (ROOT, self.base.resolve())
        if config.mode == "mount" and any(o.is_relative_to(folder) or folder.is_relative_to(o) for o in own):
            return "holds this project's own files, with which the agent could change its bottle: write mode: copy"
        return None
