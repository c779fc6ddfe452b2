"""The package: what is in the sdist and the wheel, and that both install, by pip, pipx and uv.

Everything runs without the network but the commands of README.md, which fetch what pyssh depends on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import cryptography
import hatchling
import pytest

from pyssh_cli import __version__
from tests.system.servers import program
from tests.system.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NONE: Mapping[str, str] = {}
NAME = f"pyssh_cli-{__version__}"
BIN = Path(sys.executable).parent

COMPLETIONS = (
    "share/bash-completion/completions",
    "share/zsh/site-functions",
    "share/fish/vendor_completions.d",
)


class Package(NamedTuple):
    """What `python -m build` makes."""

    sdist: Path
    wheel: Path


def call(*words: str | Path, cwd: Path = ROOT, variables: Mapping[str, str] = NONE) -> str:
    """What a program prints, stderr included; it must end well."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    clean["PATH"] = os.pathsep.join([str(BIN), clean.get("PATH", os.defpath)])
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**clean, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=8 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}"
    return done.stdout


def sources() -> list[Path]:
    """The files of the tree that are to be kept, relative to it, as git knows them."""
    if not (ROOT / ".git").exists():
        pytest.skip("only a checkout knows which files are its own")
    listed = call("git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def shared_place(path: Path) -> tuple[str, ...]:
    """The directories below the prefix where a file of man/ or completions/ may be installed."""
    return (f"share/man/man{path.suffix[1:]}",) if path.parent.name == "man" else COMPLETIONS


def shared_files() -> list[Path]:
    """The manual pages and the completions."""
    return sorted(path for name in ("man", "completions") for path in (ROOT / name).glob("*") if path.is_file())


def installed_at(prefix: Path, path: Path) -> list[Path]:
    """Where a file of man/ or completions/ is below a prefix, by what is in it."""
    content = path.read_bytes()
    places = [prefix / place for place in shared_place(path)]
    return [one for place in places if place.is_dir() for one in place.iterdir() if one.read_bytes() == content]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Both, made once: the wheel from the sdist, as whoever builds from it makes it."""
    target = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", target, ROOT)
    assert sorted(path.name for path in target.iterdir()) == [f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"]
    return Package(target / f"{NAME}.tar.gz", target / f"{NAME}-py3-none-any.whl")


@pytest.fixture(scope="module")
def unpacked(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the sdist."""
    target = tmp_path_factory.mktemp("sdist")
    with tarfile.open(package.sdist) as archive:
        archive.extractall(target)
    return target / NAME


def test_the_index_would_take_it(package: Package) -> None:
    assert call("twine", "check", "--strict", *package).count("PASSED") == 2


def test_the_sdist_has_the_whole_tree(unpacked: Path) -> None:
    wanted = {path for path in sources() if path.parts[0] != ".ci"}
    found = {path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()}
    assert found - {Path("PKG-INFO")} == wanted
    for script in ("demo", "test"):
        assert os.access(unpacked / "scripts" / script, os.X_OK)


def test_the_tests_run_from_the_sdist(unpacked: Path) -> None:
    pytest_here = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:xdist"]
    told = call(*pytest_here, "tests/unit/test_wire.py", "tests/unit/test_cli.py", cwd=unpacked)
    assert f"rootdir: {unpacked}\n" in told
    assert re.search(r"\d+ passed", told)


def test_the_wheel_has_what_it_needs_and_no_more(package: Package) -> None:
    code = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pyssh_cli").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "pyssh_cli/py.typed" in code
    with zipfile.ZipFile(package.wheel) as archive:
        names = set(archive.namelist())
        shared = {name for name in names if name.startswith(f"{NAME}.data/")}
        about = {name for name in names if name.startswith(f"{NAME}.dist-info/")}
        contents = sorted(archive.read(name) for name in shared)
    assert names == code | shared | about
    assert contents == sorted(path.read_bytes() for path in shared_files())
    assert {name.removeprefix(f"{NAME}.dist-info/") for name in about} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_extras_of_the_readme_are_those_of_the_package(package: Package) -> None:
    with zipfile.ZipFile(package.wheel) as archive:
        metadata = archive.read(f"{NAME}.dist-info/METADATA").decode()
    extras = set(re.findall(r"^Provides-Extra: (\w+)$", metadata, re.MULTILINE)) - {"test"}
    named = re.search(r"pipx install --force '\.\[([\w,]+)\]'", README)
    assert named
    assert set(named[1].split(",")) == extras


def test_the_changelog_knows_the_version() -> None:
    assert __version__ in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_pip_installs_it(package: Package, tmp_path: Path, kind: str) -> None:
    """Into an environment of its own; what pyssh depends on is borrowed from that of the tests."""
    borrowed = {str(Path(module.__file__ or "").parents[1]) for module in (cryptography, hatchling)}
    variables = {"PYTHONPATH": os.pathsep.join(borrowed), "PIP_CONFIG_FILE": os.devnull}
    call(sys.executable, "-m", "venv", "--without-pip", tmp_path)
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "bin" / "python"), "install", "-q"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed"]
    call(*pip, *offline, getattr(package, kind), variables=variables)
    check_installed(tmp_path, tmp_path / "bin" / "pyssh", variables)


def check_installed(prefix: Path, command: Path, variables: Mapping[str, str]) -> None:
    """The command runs, from this environment, and what belongs to it is in its place."""
    assert call(command, "-V", variables=variables).startswith(f"pyssh_{__version__}, ")
    assert "hostname example.org\n" in call(command, "-F", "none", "-G", "example.org", variables=variables)
    script = "import pyssh_cli; print(pyssh_cli.__file__)"
    where = call(prefix / "bin" / "python", "-c", script, cwd=prefix, variables=variables)
    assert Path(where).is_relative_to(prefix)
    for path in shared_files():
        assert len(installed_at(prefix, path)) == 1, path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment variables of a person who has nothing yet, as pipx and uv go by them.

    Skips where no package index can be reached.
    """
    home = tmp_path / "home"
    home.mkdir()
    mine = {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "PIPX_HOME": str(home / "pipx"),
        "PIPX_BIN_DIR": str(home / "bin"),
        "PIPX_MAN_DIR": str(home / "man"),
        "UV_TOOL_DIR": str(home / "tools"),
        "UV_TOOL_BIN_DIR": str(home / "bin"),
    }
    probe = [program_here("uv"), "pip", "install", "-q", "--dry-run", "--no-deps", "--target", str(home), "click"]
    if subprocess.run(probe, env={**os.environ, **mine}, capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")
    yield mine
    shutil.rmtree(home, ignore_errors=True)


def program_here(name: str) -> str:
    """A program of the tests' environment."""
    return str(BIN / name) if (BIN / name).exists() else program(name)


@pytest.mark.parametrize(
    ("command", "environment"),
    [("pipx install .", "pipx/venvs/pyssh-cli"), ("uv tool install .", "tools/pyssh-cli")],
)
def test_commands_of_the_readme_install_it(home: dict[str, str], command: str, environment: str) -> None:
    assert f"```sh\n{command}\n```" in README
    call(*command.split(), variables=home)
    place = Path(home["HOME"])
    check_installed(place / environment, place / "bin" / "pyssh", home)
    if command.startswith("pipx"):
        pages = [path for path in shared_files() if path.parent.name == "man"]
        assert all((place / "man" / f"man{page.suffix[1:]}" / page.name).exists() for page in pages)
