"""Common properties of all commands: help, exit statuses, import time."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from influxdb3_notifier import __version__, cli
from tests.cli.program import MODULE, PROGRAM, run

OUTBOX = [["outbox", verb] for verb in ("list", "show", "retry", "drop", "stats")]
ALONE = [[name] for name in ("install-plugin", "channels", "check", "routes", "render", "send")]
COMMANDS = [*ALONE, ["templates", "check"], *OUTBOX, ["worker"], ["completion"]]
NO_DATA = (["worker"], ["completion"])
"""The commands whose output is log lines or a program."""
GROUPS: list[list[str]] = [[], ["templates"], ["outbox"]]
STATUSES = {"0", "1", "2", "3", "130"}


def commands() -> list[str]:
    """The commands in the help."""
    listed = run("--help").out.partition("positional arguments:")[2].partition("options:")[0]
    return re.findall(r"^    (\S+)", listed, re.MULTILINE)


def test_every_command_is_tried_here() -> None:
    assert commands() == list(dict.fromkeys(words[0] for words in COMMANDS))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_examples_of_the_command_and_every_exit_status(words: list[str]) -> None:
    done = run(*words, "--help", environment={"COLUMNS": "80"})
    assert (done.status, done.err) == (0, "")
    statuses, _, examples = done.out.partition("exit status:")[2].partition("examples:")
    numbers = re.findall(r"^  (\d+)  \w", statuses, re.MULTILINE)
    assert numbers == sorted(numbers, key=int)
    assert {"0", "2"} <= set(numbers) <= STATUSES
    shown = re.split("positional arguments:|options:", examples)[0].strip().splitlines()
    assert len(shown) >= 2
    assert all(f"{line.strip()} ".startswith(f"influxdb3-notifier {' '.join(words)} ") for line in shown)


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_the_examples_in_help_texts_are_parsed(words: list[str]) -> None:
    text = run(*words, "--help").out
    examples = text.partition("examples:")[2].partition("positional arguments:")[0].strip().splitlines()
    assert examples
    for example in examples:
        given = shlex.split(example)[1:]
        assert given[: len(words)] == words
        if "--help" not in given:
            cli.build_parser().parse_args(given)


def test_the_help_of_the_program_has_every_exit_status() -> None:
    statuses = run("--help").out.partition("exit status:")[2].partition("examples:")[0]
    assert set(re.findall(r"^  (\d+)  \w", statuses, re.MULTILINE)) == STATUSES


@pytest.mark.parametrize("words", [words for words in COMMANDS if words not in NO_DATA], ids=" ".join)
def test_every_command_with_data_output_prints_json(words: list[str]) -> None:
    assert "--format {text,json}" in run(*words, "--help").out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_flag_of_an_example_is_one_of_the_command(words: list[str]) -> None:
    text = run(*words, "--help").out
    known = set(re.findall(r"^  (?:-h, )?(--[\w-]+)", text.partition("options:")[2], re.MULTILINE))
    assert set(re.findall(r" (--[\w-]+)", text.partition("examples:")[2].partition("positional")[0])) <= known


BAD: list[list[str]] = [
    [],
    ["unknown"],
    ["install-plugin"],
    ["install-plugin", "a", "b"],
    ["check"],
    ["check", "a.toml", "b.toml"],
    ["check", "--format", "xml", "a.toml"],
    ["check", "--argument", "no-equals", "a.toml"],
    ["check", "--argument", "config_file_path=x", "a.toml"],
    ["routes", "a.toml", "--field", "no-equals"],
    ["routes", "a.toml", "--data", "[1]"],
    ["routes", "a.toml", "--data", "{"],
    ["render", "--senders-config", "@/not/there.json"],
    ["send"],
    ["send", "--text", "x", "--wait", "soon"],
    ["send", "--text", "x", "--wait", "-1"],
    ["templates"],
    ["templates", "check"],
]


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_an_invalid_command_line_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("usage: influxdb3-notifier")


@pytest.mark.parametrize(
    ("arguments", "usage", "message"),
    [
        (["chek"], " COMMAND", "unknown command: chek; did you mean check?"),
        (["CHECK"], " COMMAND", "unknown command: CHECK; did you mean check?"),
        (["xyz"], " COMMAND", "unknown command: xyz; choose from install-plugin, channels, check, "),
        (["outbox", "lst", "a.db"], " outbox [OPTION]... COMMAND", "unknown command: lst; did you mean list?"),
        (["check", "--reslove", "a.toml"], " check [OPTION]... FILE", "--reslove; did you mean --resolve?"),
        (["check", "--qqq=1", "a.toml"], " check [OPTION]... FILE", "unknown option: --qqq\n"),
        (["send", "--tetx=s3cret"], " send [OPTION]... [FILE]", "unknown option: --tetx; did you mean --text?\n"),
        (["check", "--format", "jsno", "a.toml"], " check [OPTION]... FILE", "unknown value: jsno; did you mean json?"),
        (["check", "a.toml", "b.toml"], " check [OPTION]... FILE", "unexpected argument: b.toml"),
        (
            ["send", "--level", "kritical", "--text", "x"],
            " send [OPTION]... [FILE]",
            "kritical; did you mean critical?",
        ),
        (
            ["render", "--level", "high"],
            " render [OPTION]... [FILE]",
            "high; choose from ok, info, warning, error, critical",
        ),
        (["render", "--level", ""], " render [OPTION]... [FILE]", "unknown value: ; choose from ok, info"),
        (["send", "--status", "Fired", "--text", "x"], " send [OPTION]... [FILE]", "fired; did you mean firing?"),
        (["send", "--status", "x", "--text", "x"], " send [OPTION]... [FILE]", "x; choose from firing, acknowledged, "),
        (
            ["outbox", "list", "a.db", "--sender", "slak"],
            " list [OPTION]... OUTBOX",
            "no such channel; did you mean slack?",
        ),
        (["outbox", "list", "a.db", "--reason", "timout"], " list [OPTION]... OUTBOX", "timout; did you mean timeout?"),
        (["outbox", "drop", "a.db", "--state", "ded"], " drop [OPTION]... OUTBOX [TASK[/INDEX]]", "did you mean dead?"),
        (["completion", "bsh"], " completion [OPTION]... shell", "bsh; did you mean bash?"),
        (["render", "--channel", "slak"], " render [OPTION]... [FILE]", "no such channel; did you mean slack?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistyped_word_gets_a_suggestion_and_one_line_of_usage(
    arguments: list[str], usage: str, message: str
) -> None:
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    first, _ = done.err.splitlines()
    assert first.endswith(f"{usage} (see --help)")
    assert message in done.err


def test_the_module_is_the_same_program(tmp_path: Path) -> None:
    assert run("--version", program=MODULE).out == f"influxdb3-notifier {__version__}\n"
    assert run("install-plugin", tmp_path, program=MODULE).status == 0
    file = tmp_path / "n.toml"
    file.write_text('[receivers.a.slack]\nwebhook_url = "https://a.example"\n')

    for arguments in (["check", file], ["routes", file, "--receiver", "a"], ["render", file], ["render"]):
        script = run(*arguments, program=[str(PROGRAM)])
        assert script == run(*arguments, program=MODULE)
        assert script == run(*arguments), "the other tests run the same program"


def test_importing_the_package_does_not_import_the_command_line() -> None:
    program = (
        "import sys, influxdb3_notifier; print([m for m in ('argparse', 'influxdb3_notifier.cli') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"


def test_the_command_line_needs_only_the_standard_library() -> None:
    program = (
        "import sys, influxdb3_notifier.cli as cli\n"
        "own = {m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names) - {'__main__'}\n"
        "print(sorted(name for name in own if not name.startswith('_')))"
    )
    process = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout == "['influxdb3_notifier']\n"


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "n.toml"
    file.write_text("".join(f'[receivers.a{n}.slack]\nwebhook_url = "https://a.example"\n' for n in range(5000)))
    shell = f"'{sys.executable}' -m influxdb3_notifier check '{file}' | head -n 1"
    process = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert "valid: 5000 receivers" in process.stdout
    assert process.stderr == ""


def test_output_fits_any_terminal(tmp_path: Path) -> None:
    done = run("render", "--level", "critical", "--text", "x", environment={"PYTHONIOENCODING": "ascii"})
    assert (done.status, done.err) == (0, "")
    assert "\\U0001f534" in done.out
