"""What this machine has for running the functions as Lambda does: Python 3.13, the artefact, the runtime, the emulator.

Each is found or made; what cannot be is a `MissingError` whose text is the reason to skip.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
VERSION = (3, 13)
# The client that Lambda's own images run handlers with.
RUNTIME_CLIENT = "awslambdaric==4.2.2"
_EMULATOR = "samcli/local/rapid/aws-lambda-rie-{}"


class MissingError(Exception):
    """Why a test that needs the real runtime cannot run here."""


def architecture() -> str:
    """Return this machine's architecture as wheels call it."""
    return {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())


def find_python() -> Path:
    """Return a Python 3.13 that runs: this one, one on the PATH, pyenv's or uv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [sys.executable, shutil.which("python3.13"), *sorted(pyenv.glob("versions/3.13.*/bin/python"))]
    for candidate in filter(None, candidates):
        # A shim may be on the PATH without a version behind it: what counts is what runs.
        found = _output(str(candidate), "-c", "import sys; print(sys.version_info[:2], sys.executable)")
        if found is not None and found.startswith(str(VERSION)):
            return Path(found.partition(") ")[2].strip())
    managed = _output(_uv(), "python", "find", "--no-project", "3.13")
    if managed is not None:
        return Path(managed.strip())
    raise MissingError("Python 3.13, the version of the functions, is not installed here.")


def build(target: Path) -> Path:
    """Build the functions' artefact for this machine with the Makefile's own rule."""
    if sys.platform != "linux":
        raise MissingError(f"The artefact holds wheels for Linux, and this machine runs {sys.platform}.")
    target.mkdir(parents=True, exist_ok=True)
    command = ["make", "--no-print-directory", "build-ApiFunction", f"ARTIFACTS_DIR={target}", f"ARCH={architecture()}"]
    done = subprocess.run(command, cwd=ROOT, env=_plain(), capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode and _is_offline(done.stderr):
        raise MissingError(f"The artefact's wheels cannot be fetched: {_last(done.stderr)}")
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def runtime_libraries() -> Path:
    """Return a folder with what Lambda's image brings: its runtime client and boto3; fetched once."""
    pins = re.findall(r"(?m)^((?:boto3|botocore|s3transfer)==\S+)", (ROOT / "requirements.txt").read_text())
    wanted = [RUNTIME_CLIENT, *pins]
    name = re.sub(r"[^a-z0-9.]+", "-", "-".join([architecture(), *wanted]))
    return _fetched(CACHE / "lambda" / name, wanted, "Lambda's runtime client")


def find_emulator() -> Path:
    """Return the runtime interface emulator, which ships inside the SAM command line's wheel."""
    kind = {"x86_64": "x86_64", "aarch64": "arm64"}.get(architecture())
    if kind is None:
        raise MissingError(f"There is no runtime interface emulator for {architecture()}.")
    inside = _EMULATOR.format(kind)
    installed = sorted((ROOT / ".venv-sam").glob(f"lib/python3*/site-packages/{inside}"))
    if installed:
        return installed[-1]
    [pin] = re.findall(r"(?m)^(aws-sam-cli==[0-9.]+)", (ROOT / "requirements-sam.txt").read_text())
    found = _fetched(CACHE / "sam" / pin, [pin, "--no-deps"], "The SAM command line") / inside
    if not found.exists():
        raise MissingError(f"{pin} holds no runtime interface emulator for {architecture()}.")
    found.chmod(0o755)
    return found


def _fetched(folder: Path, wanted: list[str], what: str) -> Path:
    if folder.exists():
        return folder
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    # Under another name first: what was half fetched does not count as there.
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    command = [
        *(_uv(), "pip", "install", "--quiet", "--target", str(draft), "--python-version", "3.13"),
        *("--python-platform", f"{architecture()}-manylinux_2_28", "--only-binary", ":all:", *wanted),
    ]
    done = subprocess.run(command, env=_plain(), capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise MissingError(f"{what} cannot be fetched: {_last(done.stderr)}")
    try:
        draft.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise MissingError("uv, which builds the artefact, is not installed here; make test installs it.")
    return found


def _plain() -> dict[str, str]:
    """Return the environment without what a surrounding make or test run put there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTEST"))}


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _is_offline(said: str) -> bool:
    return any(word in said for word in ("Failed to fetch", "error sending request", "dns error", "Connection refused"))


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
