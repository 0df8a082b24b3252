"""Every folder of tests/cases has a test with its right value, and the table there names it."""

from __future__ import annotations

import re

from cluster.hosts.host import PROJECT

CASES = PROJECT / "tests" / "cases"
ROW = re.compile(r"^\| ([a-z0-9.-]+) \| `(tests/[a-z_/]+\.py)::(test_\w+)` \| .+ \| .+ \|$", re.MULTILINE)


def test_every_case_has_a_row_and_its_test_is_there() -> None:
    rows = ROW.findall((CASES / "README.md").read_text(encoding="utf-8"))
    folders = {path.name for path in CASES.iterdir() if path.is_dir()} - {"inventories", "__pycache__"}
    assert sorted(name for name, _, _ in rows) == sorted(folders)
    for name, file, test in rows:
        text = (PROJECT / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", text, re.MULTILINE), (name, test)
