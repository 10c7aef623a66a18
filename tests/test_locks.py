from __future__ import annotations

import pytest

from gpucheck import locks, recipes

A, B = "a" * 64, "b" * 64
LOCK = f"""# made by hand
alpha==1.0 \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
    # via
    #   -c other.txt
    #   -r wishes.in
    #   beta
Be.ta[extra]==2.0+cpu ; python_full_version < '3.12' and sys_platform == 'linux' \\
    --hash=sha256:{A}
    # via -r wishes.in
beta==3.0 ; python_full_version >= '3.12' \\
    --hash=sha256:{A}
gamma==1 ; sys_platform == 'win32' \\
    --hash=sha256:{A}
"""
BOOK = recipes.load()


def test_a_lock_is_read() -> None:
    alpha, beta, *_ = locks.read(LOCK)
    assert (alpha.name, alpha.version, alpha.marker, alpha.hashes) == ("alpha", "1.0", None, (A, B))
    assert alpha.via == ("-c other.txt", "-r wishes.in", "beta")
    assert (beta.name, beta.version, beta.via) == ("be-ta", "2.0+cpu", ("-r wishes.in",))


@pytest.mark.parametrize(("python", "expected"), [("3.11", {"alpha": "1.0", "be-ta": "2.0+cpu"}),
                                                  ("3.12", {"alpha": "1.0", "beta": "3.0"})])  # fmt: skip
def test_what_is_installed_is_decided_by_the_markers(python: str, expected: dict[str, str]) -> None:
    found = locks.installs_on_linux(locks.read(LOCK), python)
    assert {name: pin.version for name, pin in found.items()} == expected


def test_a_patch_release_that_decides_is_named() -> None:
    lock = f"soup==1 ; python_full_version < '3.11.5' \\\n    --hash=sha256:{A}\n"
    assert locks.installs_on_linux(locks.read(lock), "3.12") == {}
    with pytest.raises(ValueError, match="soup"):
        locks.installs_on_linux(locks.read(lock), "3.11")


def test_one_package_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        locks.installs_on_linux(locks.read("a==1\nA==2\n"), "3.12")


@pytest.mark.parametrize("line", ["--index-url https://example.org", "a @ file:///a.whl", "a>=1"])
def test_a_line_that_no_lock_has_is_shown(line: str) -> None:
    with pytest.raises(ValueError, match=r"no such line"):
        locks.read(f"b==1\n{line}\n")


@pytest.mark.parametrize("recipe", BOOK.values(), ids=BOOK)
def test_every_pin_of_a_lock_is_read_with_its_hashes(recipe: recipes.Recipe) -> None:
    text = recipe.lock_path.read_text()
    pins = locks.read(text)
    assert len(pins) == text.count("==") - text.count("== '")
    assert sum(len(pin.hashes) for pin in pins) == text.count("--hash=sha256:")
    assert all(pin.hashes for pin in pins)
