"""What a call to a forge does beyond what its capability says, read from the forges' own sources: refused."""

from __future__ import annotations

import pytest
from forge_needs import needed

GITLAB, GITHUB = "/api/v4/projects/acme%2Fproject", "/repos/acme/project"


@pytest.mark.parametrize(
    ("method", "path", "capability"),
    [
        # A name of a label may have a slash (lib/api/labels.rb: `:name` is NO_SLASH_URL_PART_REGEX, decoded afterwards).
        ("PUT", f"{GITLAB}/labels/kind%2Fbug/promote", "settings"),
        ("PUT", f"{GITLAB}/labels/kind%2fbug/promote.json", "settings"),
        ("PUT", f"{GITLAB}/labels/promote", "settings"),  # the name is in the body; of before 12.4, and there still
        ("PUT", f"{GITLAB}/labels/kind%2Fbug", None),
        # docs.github.com/en/rest/actions/secrets: "any slashes in the name must be replaced with %2F".
        ("PUT", f"{GITHUB}/environments/eu%2Fprod/secrets/TOKEN", "secrets"),
        ("POST", f"{GITHUB}/environments/eu%2Fprod/variables", "secrets"),
        ("PUT", f"{GITHUB}/environments/eu%2Fprod", "pipelines"),
    ],
)
def test_a_slash_in_a_name_is_a_letter_of_it(method: str, path: str, capability: str | None) -> None:
    assert needed(method, path) == capability
