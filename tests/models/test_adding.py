"""docs/adding-a-model.md, word for word: with one more file the model is listed, serves and stops."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import serving
from tests.models.serving import REQUEST, ROOT, ServerProcess, body_of, echo


def test_the_documented_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "servers", tmp_path / "servers")
    text = (ROOT / "docs" / "adding-a-model.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code
    (tmp_path / "servers" / "my_model.py").write_text(code[1])
    listed = subprocess.run(
        [sys.executable, "-m", "servers", "--list"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert re.search(r"^my-model +\S", listed.stdout, re.MULTILINE)
    monkeypatch.setattr(serving, "ROOT", tmp_path)
    server = ServerProcess("my-model", "--most", "2")
    try:
        assert server.slots == 2
        assert [body_of(server.ask()) for _ in range(5)] == [echo(REQUEST)] * 5
        os.kill(server.pid, signal.SIGTERM)
        status, counts, _ = server.end()
    finally:
        server.kill()
    assert status == 0
    assert (counts["accepted"], counts["answered"]) == (5, 5)
