"""What `sam build` ships: the code and its dependencies for Lambda's platform, and nothing else."""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.gates.sam import ROOT

LIMIT = 50_000_000
# Machine types of ELF files.
MACHINES = {"aarch64": 183, "x86_64": 62}


@pytest.fixture(scope="module", params=MACHINES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("artefact") / "ApiFunction"
    command = ["make", "--no-print-directory", "build-ApiFunction", f"ARTIFACTS_DIR={folder}", f"ARCH={request.param}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ran.returncode == 0, ran.stderr
    return request.param, folder


def files(folder: Path) -> Iterator[Path]:
    return (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_it_is_small(built: tuple[str, Path]) -> None:
    _, folder = built
    assert sum((folder / path).stat().st_size for path in files(folder)) < LIMIT


def test_it_holds_functions_shared_and_dependencies_only(built: tuple[str, Path]) -> None:
    _, folder = built
    names = {path.name for path in folder.iterdir()}
    assert {"functions", "shared", "pydantic", "psycopg", "aws_lambda_powertools"} <= names
    assert not names & {
        "tests",
        "infra",
        "docs",
        "cost_tracker",
        "bin",
        ".env",
        ".git",
        ".venv",
        "Makefile",
        "template.yaml",
    }
    # Credentials are encrypted by KMS there: the library for key files stays on laptops.
    assert "cryptography" not in names
    assert not [name for name in names if name.startswith(("boto", "s3transfer", "pytest", "."))]
    # Every other folder is a dependency: pip's record of it lies beside it, or it is a wheel's libraries.
    ours = {"functions", "shared", "__pycache__"}
    packages = {name for name in names - ours if "." not in name}
    assert len([name for name in names if name.endswith(".dist-info")]) >= len(packages) - 1


def test_it_holds_what_the_code_reads_at_run_time(built: tuple[str, Path]) -> None:
    _, folder = built
    for kind in ("shared/store/migrations/*.sql", "shared/prices/*.json"):
        assert {path.name for path in folder.glob(kind)} == {path.name for path in ROOT.glob(kind)} != set()
    assert list(folder.glob("aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js"))


def test_its_bytecode_is_for_the_runtime_or_not_there(built: tuple[str, Path]) -> None:
    _, folder = built
    compiled = [path for path in files(folder) if path.suffix == ".pyc"]
    assert all(path.name.endswith(".cpython-313.pyc") for path in compiled)
    # Checked by nobody, so that neither time stamps nor the order of unpacking matter: flags 0b01, PEP 552.
    assert {struct.unpack("<4xI", (folder / path).read_bytes()[:8])[0] for path in compiled} <= {1}


def test_its_binaries_are_for_the_machine(built: tuple[str, Path]) -> None:
    machine, folder = built
    binaries = [path for path in files(folder) if ".so" in path.suffixes]
    assert len(binaries) > 3
    for path in binaries:
        assert struct.unpack("<18xH", (folder / path).read_bytes()[:20])[0] == MACHINES[machine], path
