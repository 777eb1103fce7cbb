"""Build wheel and sdist, look inside, and run the demo from the wheel in an empty environment."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPERATORS = "rtflow/operators/__init__.py"
STATIC = "rtflow/show/static"
BUNDLED = ("stage.js", "lightweight-charts.standalone.production.js", "lightweight-charts.LICENSE")


def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    """Run ``command``, bounded in time; its output, or an exit that shows it."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode != code:
        sys.exit(f"{' '.join(map(str, command))} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def environment(folder: Path, *requirements: str | Path) -> Path:
    """The ``bin`` of a new environment with these installed."""
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--quiet", *requirements, cwd=folder)
    return scripts


def main() -> None:
    """Exit 0 when both archives hold the operators and the wheel works on its own."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run(sys.executable, "-m", "build", "--outdir", work / "dist", ROOT, cwd=work)
        (wheel,) = (work / "dist").glob("*.whl")
        (sdist,) = (work / "dist").glob("*.tar.gz")

        names = zipfile.ZipFile(wheel).namelist()
        assert OPERATORS in names, f"no {OPERATORS} in {wheel.name}"
        assert "rtflow/py.typed" in names, "a wheel without py.typed has no types"
        assert not [each for each in names if each.startswith(("operators/", "tests/"))], names
        with tarfile.open(sdist) as archive:
            members = {each.name.partition("/")[2] for each in archive.getmembers()}
        for bundled in BUNDLED:
            assert f"{STATIC}/{bundled}" in names, f"no {bundled} in {wheel.name}: live views need it"
        for needed in ("operators/__init__.py", OPERATORS, f"{STATIC}/stage.js"):
            assert needed in members, f"no {needed} in {sdist.name}"

        # The sdist, unpacked, makes the same wheel: no build depends on the link.
        again = ("pip", "wheel", "--quiet", "--no-deps", "-w", work / "again", sdist)
        run(sys.executable, "-m", *again, cwd=work)
        (copy,) = (work / "again").glob("*.whl")
        assert sorted(zipfile.ZipFile(copy).namelist()) == sorted(names), "wheel from sdist differs"

        bare = environment(work / "bare", wheel)
        run(bare / "python", "-c", "import rtflow, rtflow.operators, rtflow.providers", cwd=work)
        drawn = "from rtflow import OrderBook, show; print(show.ladder(OrderBook()).svg())"
        assert "<svg" in run(bare / "python", "-c", drawn, cwd=work), "pictures need no extra"
        said = run(bare / "rtflow", cwd=work, code=1)
        assert "rtflow[cli]" in said, f"without the extra, rtflow should say what to install, not: {said}"

        full = environment(work / "full", f"{wheel}[cli]")
        said = run(full / "rtflow", "demo", "--plain", "--seconds", "6", "--seed", "1", cwd=work)
        assert all(kind in said for kind in ("Trade", "Bar", "BookState", "Gap")), said[-2000:]
        print("packaging: wheel and sdist hold rtflow/operators, and the wheel runs the demo on its own")


if __name__ == "__main__":
    main()
