"""[request] of a plan: what is read, what is refused and how, which files come along, and what is sent."""

from pathlib import Path

import pytest

from cluster.campaign import commands
from cluster.campaign.own.brought import read_brought
from cluster.hosts.inventory import HostEntry
from cluster.remote.http.http_message import head_fields
from study.errors import PlanError
from study.plan import Plan, load_plan, parse_plan

GOOD = 'name = "own"\nmodels = ["mine"]\nusers = [10]\n'
MINE = '[[servers]]\nname = "mine"\ncommand = "serve {port}"\n'
URL = '[[servers]]\nname = "mine"\nurl = "%s"\n'
REQUEST = "[servers.request]\n"


def read(text: str, head: str = GOOD) -> Plan:
    return parse_plan(head + text, "own.toml", {"single": ()})


def wrong(text: str, head: str = GOOD) -> str:
    with pytest.raises(PlanError) as caught:
        read(text, head)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('headers = {A = "b\\nc"}', "headers.A: a field's name in ASCII, without blanks, and a value of one line"),
        ('headers = {"A b" = "c"}', "headers.A b: a field's name in ASCII"),
        ('headers = {connection = "close"}', "headers.connection: is set by the client itself"),
        ('method = "BREW"', "method: 'GET', 'HEAD', 'POST', 'PUT', 'PATCH' or 'DELETE' is wanted"),
        ('path = "items"', "path: a path that begins with / is wanted"),
        ('path = "/?page={page}"', "path: {page} stands for nothing"),
        ('path = "/{n}"', "path: {n} needs range"),
        ("range = [1, 2]", "range: range needs {n} in path"),
        ('path = "/{n}"\nrange = [3, 2]', "range: the smaller number comes first"),
        ('paths = "a"\npath = "/b"', "paths: takes the place of path and range"),
        ('body = "a"\nbody_file = "b"', "body: stands beside body_file"),
        ('method = "HEAD"\nbody = "a"', "body: HEAD has none"),
        ('method = "HEAD"\nexpect = {contains = "a"}', "expect: the answer to HEAD has no body"),
        ("expect = {status = 99}", "expect.status: must be at least 200"),
        ("expect = {colour = 1}", "expect.colour: unknown key"),
        ("headrs = {}", "headrs: unknown key (did you mean headers?)"),
        ('body_file = "a\\u0000"', "body_file: text without a NUL character is wanted"),
        ('expect = {contains = "a\\u0000"}', "expect.contains: text without a NUL character is wanted"),
    ],
)
def test_a_mistake_in_a_request_is_said_once(text: str, said: str) -> None:
    message = wrong(MINE + REQUEST + text)
    assert f"servers.mine.request.{said}" in message
    assert message.startswith("own.toml: 1 mistake\n")
    assert f"request.{said}" in wrong(MINE.replace(REQUEST, "") + "[request]\n" + text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (URL % "staging:80", "url: begins with http:// or https://"),
        (URL % "http://a:99999", "url: is no URL: port out of range"),
        (URL % "http://a/path", "url: is the server's, as http://NAME:PORT"),
        (URL % "http://user:word@a", "a password to its headers"),
        (URL % "http://a" + 'ca = "b"', "ca: is about a certificate, and the server speaks no TLS"),
        (URL % "https://a" + 'ca = "b"\nverify = false', "ca: is of no use with verify = false"),
        (URL % "http://a" + 'setup = "b"', "setup: belongs to a server that the study starts"),
        (MINE + 'environment = {"A b" = "c"}', "environment.A b: a variable's name is wanted"),
        (MINE + 'setup = "make && make install"', "setup: no shell reads it, and && is for one"),
        (MINE + 'path = "/{id}"', "path: {id} stands for nothing"),
        (MINE + 'environment = {A = "b\\u0000"}', "environment.A: text without a NUL character is wanted"),
        (MINE + 'files = [".."]', "files: what is in a directory is named, in place of . and .."),
        (MINE + 'files = ["a/b", "c/b"]', "files: several are called b"),
        (MINE + 'path = "/"\n' + REQUEST, "path: stands in [servers.request] already"),
    ],
)
def test_a_mistake_in_a_server_is_said_once(text: str, said: str) -> None:
    message = wrong(text)
    assert f"servers.mine.{said}" in message or said in message
    assert message.startswith("own.toml: 1 mistake\n")


def test_a_model_gets_what_it_can_answer() -> None:
    head = GOOD.replace('"mine"', '"mine", "single"')
    assert "models answer GET and HEAD without a body" in wrong(MINE + '[request]\nmethod = "POST"', head)
    drawn = '[request]\npath = "/{n}"\nrange = [1, 9]\n'
    assert "work.bytes is needed" in wrong(MINE + drawn, head)
    plan = read(MINE + drawn + "[work]\nbytes = 3\n", head)
    assert plan.server("single").asked.path == plan.server("mine").asked.path == "/{n}"
    assert (plan.server("single").body, plan.server("mine").body) == (b"xxx", None)


def test_a_servers_own_request_takes_the_place_of_the_plans() -> None:
    shared = '[request]\nmethod = "PUT"\n'
    assert read(MINE + shared).server("mine").asked.method == "PUT"
    assert read(MINE + 'path = "/a"\n' + shared).server("mine").asked.method == "GET"
    assert read(MINE + REQUEST + 'path = "/b"\n' + shared).server("mine").asked.path == "/b"


def test_files_come_along_with_the_plan(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\xff\x00")
    (tmp_path / "paths").write_text("/a\n\n/b?c=d\n", encoding="ascii")
    plan = tmp_path / "plan.toml"
    plan.write_text(GOOD + MINE + REQUEST + 'body_file = "body"\npaths = "paths"\n', encoding="utf-8")
    files = read_brought(load_plan(plan).plan, tmp_path, "plan")
    assert files == {"mine.body": b"\xff\x00", "mine.paths": b"/a\n\n/b?c=d\n"}


def test_all_that_is_wrong_with_the_files_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "paths").write_text("/a\nb c\nd\n", encoding="ascii")
    (tmp_path / "ca").write_text("nothing", encoding="ascii")
    plan = read(MINE + 'https = true\nca = "ca"\n' + REQUEST + 'body_file = "body"\npaths = "paths"\n')
    with pytest.raises(PlanError) as caught:
        read_brought(plan, tmp_path, "plan own.toml")
    message = str(caught.value)
    assert message.startswith("plan own.toml: 3 mistakes")
    assert "servers.mine.request.body_file: body can't be read: No such file or directory" in message
    assert "servers.mine.request.paths: paths: line 2 is no path that begins with /" in message
    assert "servers.mine.ca: ca: has no certificate in PEM form" in message


def test_background_clients_speak_no_tls(tmp_path: Path) -> None:
    plan = read(MINE + "https = true", GOOD + "idle_connections = 5\n")
    with pytest.raises(PlanError, match="background clients speak no TLS, and mine does"):
        read_brought(plan, tmp_path, "plan")


def test_a_plan_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_bytes(GOOD.encode() + b'[request]\nbody = "\xe4"\n')
    with pytest.raises(PlanError, match="line 5 is not UTF-8"):
        load_plan(plan)


def test_the_probe_asks_for_what_the_users_do(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = read(
        URL % "https://[::1]"
        + 'ca = "ca"\n'
        + REQUEST
        + 'method = "PATCH"\npath = "/a"\nheaders = {A = "b: c"}\nbody = "x"\n'
        + 'expect = {status = 202, contains = "--y", headers = {D = "e"}}\n'
    )
    there = commands.ProbedRequest("/a", Path("/f/mine.body"), Path("/f/mine.ca"), Path("/f/mine.headers"))
    words = commands.probe("py", plan, plan.server("mine"), HostEntry("target"), 1.0, there)
    for option in (
        *(("--host", "::1"), ("--port", "443"), ("--method", "PATCH"), ("--path", "/a"), ("--status", "202")),
        *(("--body-file", "/f/mine.body"), ("--ca", "/f/mine.ca"), ("--headers-file", "/f/mine.headers")),
    ):
        assert words[words.index(option[0]) + 1] == option[1]
    assert {"--tls", "--contains=--y", "--wanted-field=D: e"} <= set(words)
    assert "--wait" not in words  # it is there, or it isn't


def test_no_process_gets_tokens_as_arguments_which_every_user_of_a_host_can_read(tmp_path: Path) -> None:
    more = 'environment = {KEY = "s3cret"}\n' + REQUEST + 'headers = {Authorization = "s3cret: \u00e4", B = "c"}\n'
    plan = read(MINE + more, GOOD + "slow_clients = 1\n")
    of, there = plan.server("mine"), HostEntry("target")
    request = commands.ProbedRequest("/", headers=Path("/f/mine.headers"))
    place = commands.ServerPlace(Path("/own"), "py", Path("/own.environment"))
    for words in (
        commands.server("py", plan, of, there, 1, tmp_path, place),
        commands.probe("py", plan, of, there, 1.0, request),
        commands.background("py", plan, of, there, tmp_path, request),
        commands.master("py", tmp_path, plan, of, there, tmp_path, ("a",)),
        commands.worker("py", tmp_path, plan, of, there, "a"),
    ):
        assert "s3cret" not in " ".join(words)
    fields = read_brought(plan, tmp_path, "plan")["mine.headers"]
    assert head_fields(fields) == (("Authorization", "s3cret: \u00e4"), ("B", "c"))


def test_a_command_has_its_surroundings() -> None:
    plan = read(MINE + 'files = ["a"]\ndirectory = "b"\npython = "venv/bin/python"\nenvironment = {C = "d e"}\n')
    own = commands.ServerPlace(Path("/there/mine"), "/there/mine/venv/bin/python", Path("/there/mine.environment"))
    words = commands.server("/env/python", plan, plan.server("mine"), HostEntry("target"), 1, Path("/s"), own)
    assert words == (
        *("/env/python", "-m", "cluster.remote.exec", "--in", "/there/mine/b"),
        *("--environment", "/there/mine.environment", "--path", "/there/mine/venv/bin", "--", "serve", "8070"),
    )


def test_a_model_under_another_python() -> None:
    plan = read('[[servers]]\nname = "mine"\nmodel = "single"\npython = "pypy3"\n')
    own = commands.ServerPlace(Path("/there/mine"), "pypy3")
    words = commands.server("/env/python", plan, plan.server("mine"), HostEntry("target"), 1, Path("/s"), own)
    assert words[:4] == ("pypy3", "-m", "servers", "single")
