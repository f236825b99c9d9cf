"""Settings: their limits, the order of their sources, and errors that name file and key."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_tracker.config import SETTINGS, Value, find_setting, read_settings, unset_value, write_value
from agent_tracker.errors import ConfigError
from agent_tracker.paths import UserPaths, user_paths

if TYPE_CHECKING:
    from gitrepo import GitRepo

MEBIBYTE = 1024 * 1024


@pytest.fixture
def paths(home: Path) -> UserPaths:
    """The paths of a user whose home is empty."""
    return user_paths({"HOME": str(home)})


def write(paths: UserPaths, text: str) -> None:
    """Write the configuration file."""
    Path(paths.config_file).parent.mkdir(parents=True, exist_ok=True)
    Path(paths.config_file).write_text(text)


def value_of(paths: UserPaths, name: str, **env: str) -> Value:
    """Return a setting's value in force."""
    return read_settings(paths, env)[name]


def test_the_defaults(paths: UserPaths, home: Path) -> None:
    """Without a file: 512 MB beside OpenCode's own configuration, and unregistered agents are refused."""
    values = read_settings(paths, {})
    assert values["databasePath"].value == str(home / ".config" / "opencode" / "agent-tracker.lmdb")
    assert values["maxDatabaseSize"].value == 512 * MEBIBYTE
    assert values["policy"].value == "enforce"
    assert {value.source for value in values.values()} == {"default"}


def test_the_environment_goes_before_git_and_git_before_the_file(paths: UserPaths) -> None:
    """Each value says where it comes from."""
    write(paths, 'policy = "warn"\n')
    in_git = {"agenttracker.policy": "off"}
    env = {"AGENT_TRACKER_POLICY": "enforce"}
    found = [
        read_settings(paths, env, repository=in_git)["policy"],
        read_settings(paths, {}, repository=in_git)["policy"],
        read_settings(paths, {}, repository={})["policy"],
    ]
    assert [value.value for value in found] == ["enforce", "off", "warn"]
    assert [value.source for value in found] == [
        "AGENT_TRACKER_POLICY",
        "git config agenttracker.policy",
        f"{paths.config_file}: policy",
    ]


def test_an_empty_variable_says_nothing(paths: UserPaths) -> None:
    """It is as good as not set."""
    assert value_of(paths, "policy", AGENT_TRACKER_POLICY="").source == "default"


def test_git_cannot_choose_the_database(paths: UserPaths) -> None:
    """A repository decides about its policy alone."""
    in_git = {"agenttracker.databasePath": "/elsewhere", "agenttracker.maxDatabaseSize": "1000000"}
    values = read_settings(paths, {}, repository=in_git)
    assert {value.source for value in values.values()} == {"default"}


@pytest.mark.parametrize("size", [1_000_000, MEBIBYTE, 512 * MEBIBYTE, 2048 * MEBIBYTE])
def test_sizes_within_the_limits(paths: UserPaths, size: int) -> None:
    """From 1 MB to 2 GB, as a number in the file or as text in the environment."""
    write(paths, f"maxDatabaseSize = {size}\n")
    assert value_of(paths, "maxDatabaseSize").value == size
    assert value_of(paths, "maxDatabaseSize", AGENT_TRACKER_MAX_DATABASE_SIZE=str(size)).value == size


@pytest.mark.parametrize(
    "raw",
    [
        "512",
        "0",
        "-1",
        "3221225472",
        "2147483649",
        "999999",
        "true",
        '"big"',
        "1e9",
        "[]",
        "{}",
        "9" * 30,
        "2024-01-01",
    ],
)
def test_sizes_beyond_the_limits_name_file_and_key(paths: UserPaths, raw: str) -> None:
    """512 bytes, 3 GB, a truth value, text: an error with a way out."""
    write(paths, f"maxDatabaseSize = {raw}\n")
    with pytest.raises(ConfigError, match=r"maxDatabaseSize must be .*\(1 MB\) to .*\(2 GB\)") as caught:
        read_settings(paths, {})
    assert paths.config_file in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "raw", ["512", "512MB", "1_000_000", " 1000000", "٣٣٣٣٣٣٣", "0x1000000", "-1000000", "9" * 5000]
)
def test_a_size_in_the_environment_names_the_variable(paths: UserPaths, raw: str) -> None:
    """Only plain digits are a number of bytes."""
    with pytest.raises(ConfigError, match="AGENT_TRACKER_MAX_DATABASE_SIZE must be"):
        value_of(paths, "maxDatabaseSize", AGENT_TRACKER_MAX_DATABASE_SIZE=raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/data/x.lmdb", "/data/x.lmdb"),
        ("data/x.lmdb", "{home}/data/x.lmdb"),
        ("~/x.lmdb", "{home}/x.lmdb"),
        ("./a/../x.lmdb", "{home}/x.lmdb"),
        ("~other/x", "{home}/~other/x"),
        ("$HOME/x", "{home}/$HOME/x"),
    ],
)
def test_the_database_s_path_is_absolute_or_below_home(paths: UserPaths, home: Path, raw: str, expected: str) -> None:
    """A tilde is the home directory; nothing else is expanded."""
    assert value_of(paths, "databasePath", AGENT_TRACKER_DATABASE_PATH=raw).value == expected.format(home=home)


@pytest.mark.parametrize("raw", ['""', "5", "true", '"a\\u0000b"', "[]"])
def test_a_path_that_is_none_is_refused(paths: UserPaths, raw: str) -> None:
    """Empty, a number, a NUL character."""
    write(paths, f"databasePath = {raw}\n")
    with pytest.raises(ConfigError, match="databasePath must be a path"):
        read_settings(paths, {})


@pytest.mark.parametrize("raw", ['"sometimes"', '"Enforce"', "true", "[]", '["off"]', "{}"])
def test_a_policy_that_is_none_is_refused(paths: UserPaths, raw: str) -> None:
    """The error lists the words."""
    write(paths, f"policy = {raw}\n")
    with pytest.raises(ConfigError, match="policy must be one of enforce, warn, off"):
        read_settings(paths, {})


@pytest.mark.parametrize(
    ("name", "words"), [("validateIn", "pre-commit, commit-msg"), ("hookStyle", "auto, files, config")]
)
def test_where_hooks_go_is_one_of_a_few_words(paths: UserPaths, name: str, words: str) -> None:
    """The first is the default, the repository's git configuration counts, and anything else is refused."""
    first, second = words.split(", ")[:2]
    assert value_of(paths, name).value == first
    values = read_settings(paths, {}, repository={f"agenttracker.{name}": second})
    assert values[name].value == second
    write(paths, f'{name} = "elsewhere"\n')
    with pytest.raises(ConfigError, match=f"{name} must be one of {words}, not 'elsewhere'"):
        read_settings(paths, {})


@pytest.mark.parametrize(
    "content", [b"databasePath = \n", b"= 1", b"\xff\xfe", b"a = 1\na = 2\n", b"[a\n", b"\x00"], ids=repr
)
def test_a_file_that_is_no_toml_is_named(paths: UserPaths, content: bytes) -> None:
    """Reading and changing it fail alike, and it stays as it is."""
    write(paths, "")
    Path(paths.config_file).write_bytes(content)
    for act in (lambda: read_settings(paths, {}), lambda: write_value(paths, find_setting("policy"), "off")):
        with pytest.raises(ConfigError) as caught:
            act()
        assert paths.config_file in caught.value.message
        assert "\n" not in caught.value.message
    assert Path(paths.config_file).read_bytes() == content


def test_a_directory_in_the_file_s_place_is_named(paths: UserPaths) -> None:
    """An error, no traceback."""
    Path(paths.config_file).mkdir(parents=True)
    for act in (lambda: read_settings(paths, {}), lambda: write_value(paths, find_setting("policy"), "off")):
        with pytest.raises(ConfigError, match=r"config\.toml"):
            act()


def test_an_unknown_key_is_named(paths: UserPaths) -> None:
    """A slip of the pen does not pass silently."""
    write(paths, 'databsePath = "x"\n')
    with pytest.raises(ConfigError, match="unknown key 'databsePath'") as caught:
        read_settings(paths, {})
    assert paths.config_file in caught.value.message
    assert caught.value.hint == "agent-tracker config unset databsePath"
    assert unset_value(paths, "databsePath")
    assert read_settings(paths, {})


def test_writing_keeps_comments_and_order(paths: UserPaths) -> None:
    """The file is the user's own."""
    write(paths, '# mine\npolicy = "warn" # for now\n\n# size\nmaxDatabaseSize = 1000000\n')
    write_value(paths, find_setting("policy"), "off")
    assert Path(paths.config_file).read_text() == (
        '# mine\npolicy = "off" # for now\n\n# size\nmaxDatabaseSize = 1000000\n'
    )


def test_writing_makes_the_file_and_reads_back(paths: UserPaths) -> None:
    """Every setting can be set from text and is typed in the file."""
    given = {
        "databasePath": "x.lmdb",
        "maxDatabaseSize": "1000000",
        "backupInterval": "7200",
        "maxBackups": "12",
        "policy": "warn",
        "autoRegister": "yes",
        "validateIn": "commit-msg",
        "hookStyle": "files",
        "export": "status",
    }
    for setting in SETTINGS:
        write_value(paths, setting, given[setting.name])
        write_value(paths, setting, given[setting.name])
    values = read_settings(paths, {})
    assert values["maxDatabaseSize"].value == 1_000_000
    assert (values["backupInterval"].value, values["maxBackups"].value) == (7200, 12)
    assert values["policy"] == Value("policy", "warn", f"{paths.config_file}: policy")
    assert stat.S_IMODE(Path(paths.config_file).stat().st_mode) == 0o600


def test_a_value_that_is_not_allowed_is_not_written(paths: UserPaths) -> None:
    """The file stays as it was."""
    write(paths, "# mine\n")
    with pytest.raises(ConfigError, match="maxDatabaseSize must be"):
        write_value(paths, find_setting("maxDatabaseSize"), "512")
    assert Path(paths.config_file).read_text() == "# mine\n"


def test_unsetting_says_whether_it_was_there(paths: UserPaths) -> None:
    """Twice is no error; the rest of the file stays."""
    write(paths, '# mine\npolicy = "warn"\n')
    assert unset_value(paths, "policy")
    assert not unset_value(paths, "policy")
    assert "# mine" in Path(paths.config_file).read_text()
    assert value_of(paths, "policy").source == "default"


@pytest.mark.parametrize("name", ["policy", "POLICY", "agenttracker.policy", "databasepath"])
def test_a_setting_is_found_by_its_name(name: str) -> None:
    """Case does not matter, and git's key is understood."""
    assert find_setting(name).name in {"policy", "databasePath"}


def test_an_unknown_setting_is_refused() -> None:
    """The hint lists those there are."""
    with pytest.raises(ConfigError, match="unknown setting 'colour'") as caught:
        find_setting("colour")
    assert all(setting.name in caught.value.hint for setting in SETTINGS)


# -- where the files lie


def test_xdg_directories_are_respected() -> None:
    """An absolute one counts, a relative one does not, as the specification says."""
    env = {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "relative"}
    paths = user_paths(env)
    assert paths.config_file == "/c/agent-tracker/config.toml"
    assert paths.state_dir == "/h/.local/state/agent-tracker"


@pytest.mark.parametrize("home", ["relative", "."])
def test_no_home_is_an_error(home: str) -> None:
    """A home that is not absolute would put files anywhere."""
    with pytest.raises(ConfigError, match="no home directory"):
        user_paths({"HOME": home})


@pytest.mark.parametrize(
    ("name", "value"),
    [("databasePath", "/nowhere/x.lmdb"), ("maxDatabaseSize", "1000000"), ("backupInterval", "0"), ("MAXBACKUPS", "2")],
)
def test_what_keeps_the_database_safe_is_a_person_s_to_set(repo: GitRepo, name: str, value: str) -> None:
    """An agent could have its own past forgotten by it; whatever else it sets, it may."""
    agent = {"AGENT_TRACKER_AGENT": "bob"}
    file = Path(user_paths(os.environ).config_file)
    for argv in (("set", name, value), ("unset", name)):
        done = repo.tracker("config", *argv, env=agent)
        assert (done.code, "AGENT_TRACKER_AGENT=human" in done.err, file.exists()) == (1, True, False), done
    repo.ok("config", "set", "policy", "warn", env=agent)
    repo.ok("config", "set", name, value)
