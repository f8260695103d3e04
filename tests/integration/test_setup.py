"""`modemesh setup EDITOR` against a real mesh: what it writes is what the editor then asks the mesh with."""

import json
import pathlib
import sys
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, FAST, THINKER, Mesh

MODES = {"ask": [FAST], "code": [CODER, FAST], "architect": [THINKER]}
WRITABLE = ("roo", "cline", "kilo", "continue", "claude-code", "codex", "opencode", "zed", "copilot", "aider",
            "openclaw", "llama.vim", "llama.vscode")
PUBLIC = ("--url", "https://mesh.example.com", "--key", "mm_some_key")


def home_of(cluster):
    home = cluster.folder / "home"
    home.mkdir(exist_ok=True)
    return home


def set_up(cluster, editor, *words):
    done = cluster.cli("setup", editor, "--home", str(home_of(cluster)), *words)
    assert done.returncode == 0, done
    return done


def post(cluster, base, path, body):
    """To where a config says that the mesh is."""
    assert base.startswith(f"http://{cluster.http}"), base
    return cluster.post(base.removeprefix(f"http://{cluster.http}") + path, json.dumps(body))


def files_of(home):
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}


def every_editor_is_written_once():
    with Mesh(MODES) as cluster:
        cluster.add_node("halo1", [FAST, CODER], available=[THINKER])
        home = home_of(cluster)
        for editor in WRITABLE:
            printed = set_up(cluster, editor)
            assert "mesh-code" in printed.stdout and cluster.http in printed.stdout, printed
            before = files_of(home)
            set_up(cluster, editor, "--write")
            written = files_of(home)
            assert len(written) > len(before), editor
            again = set_up(cluster, editor, "--write")
            assert "has it all already" in again.stdout and files_of(home) == written, again
        assert not list(home.rglob("*modemesh-backup*"))
        for path in home.rglob("*.json"):
            json.loads(path.read_text())


def what_is_written_is_answered():
    with Mesh(MODES) as cluster:
        cluster.add_node("halo1", [FAST, CODER, THINKER])
        home = home_of(cluster)
        for editor in ("opencode", "claude-code", "codex"):
            set_up(cluster, editor, "--write")
        opencode = json.loads((home / ".config/opencode/opencode.json").read_text())
        claude = json.loads((home / ".claude/settings.json").read_text())["env"]
        codex = tomllib.loads((home / ".codex/config.toml").read_text())
        provider, _, model = opencode["model"].partition("/")
        options = opencode["provider"][provider]["options"]
        assert model in opencode["provider"][provider]["models"]
        answer = post(cluster, options["baseURL"], "/chat/completions", {
            "model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]})
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "code", answer.body
        answer = post(cluster, claude["ANTHROPIC_BASE_URL"], "/v1/messages", {
            "model": claude["ANTHROPIC_DEFAULT_OPUS_MODEL"], "max_tokens": 4,
            "messages": [{"role": "user", "content": "hello"}]})
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "architect", answer.body
        answer = post(cluster, codex["model_providers"][codex["model_provider"]]["base_url"], "/responses", {
            "model": codex["model"], "max_output_tokens": 4, "input": "hello"})
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "code", answer.body


def comments_stay_and_a_backup_is_kept():
    with Mesh(MODES) as cluster:
        cluster.add_node("halo1", [FAST])
        home = home_of(cluster)
        settings = home / ".config/zed/settings.json"
        settings.parent.mkdir(parents=True)
        before = '// mine\n{\n\t"theme": "One", // dark\n\t"agent": { "version": "2" },\n}\n'
        settings.write_text(before)
        settings.chmod(0o640)
        set_up(cluster, "zed", "--write")
        after = settings.read_text()
        for words in ("// mine\n{\n", '\t"theme": "One", // dark\n', '"version": "2"', '"mesh-code"'):
            assert words in after, after
        assert settings.stat().st_mode & 0o777 == 0o640
        assert settings.with_name("settings.json.modemesh-backup-1").read_text() == before


def a_bad_file_stays_as_it_is():
    with Mesh(MODES) as cluster:
        cluster.add_node("halo1", [FAST])
        home = home_of(cluster)
        config = home / ".codex/config.toml"
        config.parent.mkdir()
        config.write_text('model = "x"\nnotify = [1,\n')
        done = cluster.cli("setup", "codex", "--home", str(home), "--write")
        assert done.returncode == 1 and "config.toml stays as it is: line 3: " in done.stderr, done
        assert files_of(home) == {config: b'model = "x"\nnotify = [1,\n'}


def the_owner_needs_no_address():
    with Mesh(MODES) as cluster:
        cluster.add_node("halo1", [FAST])
        done = cluster.owner("setup", "--state", str(cluster.state), "opencode", "--home", str(home_of(cluster)))
        assert done.returncode == 0 and f"http://{cluster.http}/v1" in done.stdout, done
        done = cluster.owner("setup", "opencode", "--home", str(home_of(cluster)))
        assert done.returncode == 0 and f"http://{cluster.http}/v1" in done.stdout, done
        done = cluster.owner("status")
        assert done.returncode == 0 and "halo1" in done.stdout, done


def an_editor_is_named_as_it_is_called():
    with Mesh(MODES) as cluster:
        done = cluster.cli("setup", "claude")
        assert done.returncode == 2 and "did you mean 'claude-code'?" in done.stderr, done
        done = cluster.cli("setup", "--write")
        assert done.returncode == 2 and done.stdout == "" and "which editor?" in done.stderr, done


def without_a_coordinator_modes_are_named():
    with Mesh(MODES) as cluster:
        home = str(home_of(cluster))
        nobody = ("--coordinator", "http://127.0.0.1:1", "setup", "--home", home)
        done = cluster.cli(*nobody, "kilo")
        assert done.returncode == 3 and "--modes ask,code" in done.stderr, done
        done = cluster.cli(*nobody, "kilo", "--modes", "ask,code")
        assert done.returncode == 0 and "mesh-ask" in done.stdout, done
        done = cluster.cli(*nobody, "kilo", "--print-path")
        assert done.returncode == 0 and done.stdout == f"{home}/.config/kilo/kilo.jsonc\n", done
        done = cluster.cli("setup")
        assert done.returncode == 0 and all(editor in done.stdout for editor in WRITABLE), done


def cursor_needs_the_internet_and_a_key():
    with Mesh(MODES) as cluster:
        cluster.add_node("halo1", [FAST])
        done = cluster.cli("setup", "cursor")
        assert done.returncode == 2 and done.stdout == "" and "not from this machine" in done.stderr, done
        done = cluster.cli("setup", "cursor", "--modes", "ask", *PUBLIC)
        assert done.returncode == 0 and "https://mesh.example.com/v1" in done.stdout, done
        done = cluster.cli("setup", "cursor", "--write", "--modes", "ask", *PUBLIC)
        assert done.returncode == 2 and "database" in done.stderr, done


if __name__ == "__main__":
    mesh.run(
        every_editor_is_written_once,
        what_is_written_is_answered,
        comments_stay_and_a_backup_is_kept,
        a_bad_file_stays_as_it_is,
        the_owner_needs_no_address,
        an_editor_is_named_as_it_is_called,
        without_a_coordinator_modes_are_named,
        cursor_needs_the_internet_and_a_key,
    )
