"""Files in a project that the owner's programs run, or that control what they run. Pure.

Each line is from the named programs' own manuals. A pattern with a slash matches from any folder on, one without
matches the last component of a path (fnmatch; `*` crosses folders). Case is ignored, as on some file systems.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

_BY = {
    "direnv, autoenv": ".envrc .env .env.sh .env.zsh .env.bash .autoenv .autoenv.zsh",
    "mise, asdf": "mise.toml mise.*.toml .mise.toml .mise.*.toml .mise/* .config/mise/* .tool-versions",
    "editors": ".vscode/* *.code-workspace .idea/* *.iml .fleet/* .zed/* .cursor/* .windsurf/* .helix/* .clangd"
    " .ycm_extra_conf.py .vimrc .nvimrc .exrc .nvim.lua .lvimrc .dir-locals.el .dir-locals-2.el",
    "development containers": ".devcontainer/* .devcontainer.json",
    "coding agents": ".claude/* .mcp.json .gemini/* .codex/* .aider.conf.yml .opencode/* opencode.json .kiro/* .roo/*"
    " claude.md agents.md gemini.md",
    "npm, yarn, pnpm, bun and their tools": "package.json .npmrc .yarnrc .yarnrc.yml .yarn/* .pnp.*js .pnpmfile.*js"
    " bunfig.toml .eslintrc* *.config.js *.config.mjs *.config.cjs *.config.ts",
    "Python and its tools": "setup.py conftest.py sitecustomize.py usercustomize.py noxfile.py *.pth pip.conf"
    " pyproject.toml pytest.ini tox.ini .pylintrc",
    "cargo, rustup": "build.rs .cargo/* rust-toolchain rust-toolchain.toml",
    "Gradle, Maven, sbt": "gradlew gradlew.bat gradle/wrapper/* *.gradle *.gradle.kts mvnw mvnw.cmd .mvn/* pom.xml"
    " .sbtopts build.sbt",
    "make and other build tools": "gnumakefile makefile justfile .justfile rakefile taskfile.yml taskfile.yaml"
    " workspace build build.bazel .bazelrc cmakelists.txt",
    "other package managers": "gemfile .rspec .irbrc .pryrc .rubocop.yml composer.json mix.exs vagrantfile flake.nix"
    " shell.nix default.nix",
    "git hooks": ".pre-commit-config.yaml .husky/* lefthook*.yml .lefthook*.yml lefthook*.yaml .githooks/*"
    " .git-hooks/*",
    "debuggers, shells": ".gdbinit .lldbinit .pdbrc .rprofile .ghci .iex.exs .octaverc .inputrc .profile .bashrc"
    " .bash_profile .zshrc .zshenv",
    "pulumi, bottle, python": "pulumi.yaml pulumi.*.yaml __main__.py",
    "pipelines, once pushed": ".github/workflows/* .github/actions/* .gitlab-ci.yml .circleci/* jenkinsfile"
    " azure-pipelines.yml",
}
_PATTERNS = [(pattern, by) for by, patterns in _BY.items() for pattern in patterns.lower().split()]


def run_by(name: str) -> str:
    """The owner's programs that run a file of this path; "" if there are none."""
    below = f"/{name.lower()}"
    last = below.rpartition("/")[2]
    for pattern, by in _PATTERNS:
        if fnmatchcase(below, f"*/{pattern}") if "/" in pattern else fnmatchcase(last, pattern):
            return by
    return ""
