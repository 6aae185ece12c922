"""Workflows, hooks, owners and forms name things that exist, and workflows grant no more than they need."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.infrastructure.templates import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE))
RELEASE = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "check-release")))


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def commands(path: Path) -> list[str]:
    """Return the commands of all steps of a workflow."""
    jobs = read_yaml(path)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def named_targets(text: str) -> set[str]:
    return {name for names in re.findall(r"\bmake ((?:[a-z0-9-]+ ?)+)", text) for name in names.split()}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_calls_targets_and_scripts_that_exist(path: Path) -> None:
    for command in commands(path):
        assert named_targets(command) <= TARGETS
        script = command.split()[0]
        assert "/" not in script or (ROOT / script).exists()


def test_workflow_calls_what_ci_runs_on_a_developers_machine() -> None:
    local = named_targets((ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1])
    hosted = set().union(*map(named_targets, commands(GITHUB / "workflows" / "ci.yml")))

    assert local - {"versions"} <= hosted  # a job of each version replaces it
    assert hosted - {"unit"} <= local


def test_workflow_has_a_job_for_each_version_that_make_versions_tests() -> None:
    (versions,) = re.findall(r"^VERSIONS \?= (.*)$", MAKEFILE, re.MULTILINE)
    matrix = read_yaml(GITHUB / "workflows" / "ci.yml")["jobs"]["versions"]["strategy"]["matrix"]

    assert matrix["python"] == versions.split()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_reads_only_unless_a_job_says_otherwise(path: Path) -> None:
    workflow = read_yaml(path)
    jobs = workflow["jobs"].values()
    granted = {f"{name}: {value}" for job in jobs for name, value in job.get("permissions", {}).items()}

    assert workflow["permissions"] == {"contents": "read"}
    assert granted <= {"contents: read", "security-events: write"} or path.name == "release.yml"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))

    assert used
    assert [one for one in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []


def test_every_owned_path_exists() -> None:
    lines = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    patterns = [line.split()[0] for line in lines if line and not line.startswith("#")]

    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern.strip("/")))] == []


def test_code_that_sends_orders_has_owners() -> None:
    text = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8")

    for folder in ("domain", "execution", "adapters"):
        assert f"/src/rebalance_executor/{folder}/ " in text


def test_hooks_use_tools_that_are_installed_for_development() -> None:
    development = (ROOT / "requirements" / "dev.in").read_text(encoding="utf-8")
    hooks = [hook for repo in read_yaml(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]

    for hook in hooks:
        program = hook["entry"].split()[0]
        if program.startswith(".venv/bin/"):
            assert re.search(rf"^{program.removeprefix('.venv/bin/')}\b", development, re.MULTILINE), program
        else:
            assert (ROOT / program).exists(), program


def test_updates_cover_folders_that_exist() -> None:
    updates = read_yaml(GITHUB / "dependabot.yml")["updates"]

    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "pip"}
    assert all((ROOT / one["directory"].strip("/")).is_dir() for one in updates)


def test_a_bug_report_asks_for_the_bundle_without_account_data() -> None:
    fields = {field["id"]: field for field in read_yaml(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")["body"] if "id" in field}

    assert "--bundle" in fields["bundle"]["attributes"]["description"]
    assert fields["safe"]["attributes"]["options"][0]["required"]


def test_development_container_has_the_python_of_the_function_and_sets_up_both_environments() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()

    assert container["image"].startswith(f"python:{version}-")
    assert named_targets(container["postCreateCommand"]) <= TARGETS


def test_notes_of_a_release_are_the_section_of_its_version() -> None:
    changelog = "# Changelog\n\n## [0.2.0] - 2027-01-31\n\n### Added\n\n- New.\n\n## [0.1.0] - 2026-12-01\n\n- Old.\n"

    assert RELEASE.notes(changelog, "0.2.0") == "### Added\n\n- New.\n"


@pytest.mark.parametrize(
    "changelog",
    [
        "## [Unreleased]\n\n- New.\n",
        "## [0.2.0] - unreleased\n\n- New.\n",
        "## [0.2.0] - 2027-01-31\n\n## [0.1.0] - 2026-12-01\n\n- Old.\n",
        "## [0.2.01] - 2027-01-31\n\n- Other.\n",
    ],
)
def test_version_without_a_dated_section_cannot_be_released(changelog: str) -> None:
    with pytest.raises(ValueError, match=r"0\.2\.0"):
        RELEASE.notes(changelog, "0.2.0")


def test_tag_of_another_version_cannot_be_released() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    with pytest.raises(SystemExit, match=rf"v{re.escape(version)}"):
        RELEASE.main("v99.0.0")


def test_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^##+ .*$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    version = r"## \[Unreleased\]|## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d"
    kind = "### (Added|Changed|Deprecated|Removed|Fixed|Security)"

    assert headings[0].startswith("## ")
    assert [heading for heading in headings if not re.fullmatch(f"{version}|{kind}", heading)] == []
