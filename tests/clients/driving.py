"""Drive a real client against the scripted model, with no network but loopback, and say what it came to.

    driving.py CLIENT --work DIR --root DIR --script FILE [--before SHELL]

Owns each client's configuration and command line. DIR gets `home/`, `repo/` (which is there already) and `out/`. What
`--before` says is run in the repository once the client is configured, in the client's own environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripted_model import serve

if TYPE_CHECKING:
    from collections.abc import Callable

Environment = dict[str, str]
Argv = list[str]
PROMPT = "please do it"
TIMEOUT_S = 120
KEPT = ("PATH", "LANG", "TERM", "USER", "LOGNAME", "PYTHONPATH", "GIT_CONFIG_NOSYSTEM", "AGENT_TRACKER_BACKUP_INTERVAL")


def dump(path: Path, value: object) -> None:
    """Write a configuration: JSON, or a text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2) + "\n")


def opencode(root: Path, home: Path, url: str, env: Environment) -> Argv:
    """OpenCode; without a stub it asks npm for its plugins' types, and waits for that."""
    config = home / ".config/opencode"
    version = json.loads((root / "node_modules/opencode-ai/package.json").read_text())["version"]
    stub = {"dependencies": {"@opencode-ai/plugin": version}}
    dump(config / "node_modules/@opencode-ai/plugin/package.json", {"name": "@opencode-ai/plugin", "version": version})
    dump(config / "package.json", stub)
    locked = {"": stub, "node_modules/@opencode-ai/plugin": {"version": version}}
    dump(config / "package-lock.json", {"name": "x", "lockfileVersion": 3, "requires": True, "packages": locked})
    options = {"baseURL": f"{url}/v1", "apiKey": "dummy"}
    model = {"name": "Scripted", "limit": {"context": 100000, "output": 4096}}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "Own", "options": options, "models": {"scripted": model}}
    names = {"model": "own/scripted", "small_model": "own/scripted", "enabled_providers": ["own"]}
    quiet = {"autoupdate": False, "share": "disabled", "permission": "allow"}
    dump(config / "opencode.json", {**quiet, **names, "provider": {"own": provider}})
    for what in ("AUTOUPDATE", "MODELS_FETCH", "DEFAULT_PLUGINS", "LSP_DOWNLOAD"):
        env[f"OPENCODE_DISABLE_{what}"] = "1"
    return [f"{root}/node_modules/.bin/opencode", "run", "--format", "json", PROMPT]


def claude(root: Path, home: Path, url: str, env: Environment) -> Argv:
    """Claude Code."""
    env.update(CLAUDE_CONFIG_DIR=f"{home}/.claude", ANTHROPIC_BASE_URL=url, ANTHROPIC_API_KEY="dummy")
    env.update(CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", DISABLE_AUTOUPDATER="1", DISABLE_TELEMETRY="1")
    dump(home / ".claude/settings.json", {"env": {"MINE": "1"}, "hooks": {"Stop": []}})
    how = ["--output-format", "stream-json", "--verbose", "--allowedTools", "Bash Read Write Edit"]
    return [f"{root}/node_modules/.bin/claude", "-p", PROMPT, "--model", "claude-sonnet-4-5", *how]


def codex(root: Path, home: Path, url: str, env: Environment) -> Argv:
    """Codex; its hooks are trusted for this run alone."""
    provider = f'name = "Own"\nbase_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "OWN_KEY"\n'
    quiet = 'approval_policy = "never"\nsandbox_mode = "danger-full-access"\ncheck_for_update_on_startup = false\n'
    named = f'model = "gpt-5.2-codex"\nmodel_provider = "own"\n{quiet}[model_providers.own]\n{provider}'
    dump(home / ".codex/config.toml", f"{named}[analytics]\nenabled = false\n")
    env.update(CODEX_HOME=f"{home}/.codex", OWN_KEY="dummy")
    return [f"{root}/node_modules/.bin/codex", "exec", "--json", "--dangerously-bypass-hook-trust", PROMPT]


def gemini(root: Path, home: Path, url: str, env: Environment) -> Argv:
    """Gemini CLI."""
    trusted = {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}}
    quiet = {"general": {"enableAutoUpdate": False}, "privacy": {"usageStatisticsEnabled": False}}
    dump(home / ".gemini/settings.json", {"security": trusted, **quiet})
    env.update(GEMINI_API_KEY="dummy", GOOGLE_GEMINI_BASE_URL=url, GEMINI_CLI_TRUST_WORKSPACE="true")
    how = ["--yolo", "--output-format", "stream-json"]
    return [f"{root}/node_modules/.bin/gemini", "-p", PROMPT, "-m", "gemini-2.5-pro", *how]


def copilot(root: Path, home: Path, url: str, env: Environment) -> Argv:
    """Copilot CLI."""
    env.update(COPILOT_HOME=f"{home}/.copilot", COPILOT_OFFLINE="true", COPILOT_AUTO_UPDATE="false")
    env.update(COPILOT_PROVIDER_BASE_URL=f"{url}/v1", COPILOT_PROVIDER_API_KEY="dummy", COPILOT_MODEL="gpt-5.1")
    how = ["--allow-all-tools", "--allow-all-paths", "--trust-folder", "--output-format", "json"]
    program = next((root / "node_modules/.bin").glob("copilot-*"), root / "node_modules/.bin/copilot")
    return [str(program), "-p", PROMPT, *how]


def qwen(root: Path, home: Path, url: str, env: Environment) -> Argv:
    """Qwen Code."""
    quiet = {"general": {"enableAutoUpdate": False}, "privacy": {"usageStatisticsEnabled": False}}
    dump(home / ".qwen/settings.json", {"security": {"auth": {"selectedType": "openai"}}, **quiet})
    env.update(OPENAI_API_KEY="dummy", OPENAI_BASE_URL=f"{url}/v1", OPENAI_MODEL="scripted")
    return [f"{root}/node_modules/.bin/qwen", "-p", PROMPT, "--yolo", "--auth-type", "openai"]


def aider(root: Path, home: Path, url: str, env: Environment) -> Argv:  # noqa: ARG001 -- it keeps nothing at home
    """Aider: no tools, so that the answer's text is the edit."""
    env.update(OPENAI_API_BASE=f"{url}/v1", OPENAI_API_KEY="dummy", AIDER_ANALYTICS_DISABLE="1")
    quiet = ["--no-show-model-warnings", "--no-check-update", "--no-auto-lint", "--yes-always", "--no-gitignore"]
    how = [*quiet, "--no-stream", "--map-tokens", "0", "--edit-format", "whole"]
    return [f"{root}/bin/aider", "--model", "openai/scripted", *how, "--message", PROMPT, "edited.txt"]


CLIENTS: dict[str, Callable[[Path, Path, str, Environment], Argv]] = {
    "opencode": opencode,
    "claude": claude,
    "codex": codex,
    "gemini": gemini,
    "copilot": copilot,
    "qwen": qwen,
    "aider": aider,
}
ASIDES = {"aider": "edited.txt\n```\nby aider\n```\n"}


def drive(name: str, root: Path, work: Path, script: dict[str, Any], before: str) -> dict[str, object]:
    """Run a client once; return its exit code, how long it took, and how often the model was asked."""
    out, home = work / "out", work / "home"
    out.mkdir()
    server, url = serve(script, ASIDES.get(name, "A title"), out / "asked.jsonl")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {key: value for key, value in os.environ.items() if key in KEPT}
    env |= {"HOME": str(home), "IS_SANDBOX": "1"}
    argv = CLIENTS[name](root, home, url, env)
    (out / "environment.json").write_text(json.dumps(env))
    with (out / "before").open("w") as said:
        subprocess.run(before, shell=True, cwd=work / "repo", env=env, stdout=said, check=True)  # noqa: S602 -- the test's
    began = time.monotonic()
    with (out / "stdout").open("w") as said, (out / "stderr").open("w") as complained:
        try:
            code: int | str = subprocess.run(
                argv,
                cwd=work / "repo",
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                timeout=TIMEOUT_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = "timeout"
    asked = out / "asked.jsonl"
    times = len(asked.read_text().splitlines()) if asked.exists() else 0
    return {"code": code, "seconds": round(time.monotonic() - began, 1), "asked": times}


def main() -> None:
    """Parse the command line, drive, and print the result as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("client", choices=sorted(CLIENTS))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--before", default="true")
    told = parser.parse_args()
    if os.environ.pop("DRIVEN_ALONE", ""):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    script = json.loads(told.script.read_text())
    found = drive(told.client, told.root, told.work.resolve(), script, told.before)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
