"""What the command line makes of texts: of others', of streams, and of what is typed."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from gateway.cli import tables, top, typed
from gateway.cli.failures import CommandFailed
from gateway.cli.picture_files import Files, write
from gateway.cli.place import Place, place_of
from gateway.cli.plain import one_line, plain
from gateway.cli.screen import Screen
from gateway.cli.sse import Heard, server_sent_events
from gateway.line import Place as Known
from gateway.views import comment


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


# Texts of others


def test_what_could_control_a_terminal_is_shown() -> None:
    assert plain("\x1b]0;title\x07\x1b[2J\x9b31m\x7f\x08\x00") == "␛]0;title␇␛[2J<009B>31m␡␈␀"
    assert plain("a\u202eb\u2066c") == "a<202E>b<2066>c"
    assert plain("half \ud83d of one") == "half \ufffd of one"


def test_what_is_text_stays() -> None:
    text = "tab\tline\nGrüße, 日本語, مرحبا‎, 👩‍💻 \u2028"
    assert plain(text) == text
    assert plain("one\r\ntwo\rthree") == "one\ntwothree"
    assert one_line("a\n\x1b b\t c") == "a ␛ b c"


# Streams


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_are_the_same_wherever_the_network_has_cut_them(size: int) -> None:
    one = ': waiting\n\nid: 7\ndata: {"a": "ü\u2028\u0085"}\n\r\n'
    stream = f"{one}data:b\ndata: c\r\n\r\nid: x\ndata: d\n\n: end".encode()
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert list(server_sent_events(chunks)) == [
        Heard(comment="waiting"),
        Heard(data='{"a": "ü\u2028\u0085"}', number=7),
        Heard(data="b\nc"),
        Heard(data="d"),
    ]


@pytest.mark.parametrize(
    ("known", "place", "words"),
    [
        (None, Place(), "waiting for the first token"),
        (Known(1, 0.4), Place(position=1, seconds=1), "place 1, about 1 s"),
        (Known(12, 8.2), Place(position=12, seconds=8), "place 12, about 8 s"),
        (Known(2, None), Place(position=2), "place 2"),
        (
            Known(2, 40.0, loading=True, held=100.0),
            Place("loading", 2, 40),
            "the model is loading, about 40 s, place 2 in the line",
        ),
        (
            Known(1, None, held=12.0),
            Place("no worker", 1, 12, held=True),
            "no worker runs this model now; the request is held for about 12 s more",
        ),
    ],
)
def test_places_are_read_as_the_gateway_tells_them(known: Known | None, place: Place, words: str) -> None:
    told = comment(known).decode().strip().removeprefix(": ")
    assert place_of(told) == place
    assert place.words == words


def test_of_a_comment_that_is_not_known_nothing_is_told() -> None:
    assert place_of("step 3 of 8") == Place()


# The screen


def test_a_status_gives_way_without_escape_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Tty()
    screen = Screen(out=terminal, err=terminal)
    screen.status("place 12")
    screen.status("place 1")
    screen.answer("Paris.")
    screen.status("not in the middle of a line")
    screen.note("lost")
    screen.answer(" Yes.")
    screen.end()
    assert terminal.getvalue() == "\rplace 12\rplace 1 \r        \rParis.\nlost\n Yes.\n"


def test_what_comes_beside_the_answer_has_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Tty()
    screen = Screen(out=terminal, err=terminal, quiet=True)
    screen.aside("hm\x1b")
    screen.answer("Paris.\n")
    screen.end()
    screen.note("nobody wants to know")
    assert terminal.getvalue() == "\x1b[2mhm␛\x1b[0m\nParis.\n"


# What is typed


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["one"], "one"),
        (["one\\", "two\\", "three"], "one\ntwo\nthree"),
        (['"""one', "two", '  three"""'], "one\ntwo\n  three"),
        (['  """', "one", "", "two", '"""'], "one\n\ntwo"),
        (['"""one"""'], "one"),
        (['""""""'], ""),
        (['say """no"""'], 'say """no"""'),
    ],
)
def test_a_message_may_have_several_lines(lines: list[str], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rest: Iterator[str] = iter(lines)
    monkeypatch.setattr("builtins.input", lambda *_: next(rest))
    assert typed.read("> ") == text
    assert list(rest) == []


# Tables


@pytest.mark.parametrize("width", range(24, 100))
def test_a_narrow_table_leaves_out_columns_and_no_part_of_a_figure(width: int) -> None:
    figures = ["1 loading, 2 ready", "1222", "12", "1234.5", "166 ms", "12.2 s"]
    rows = [["smollm2-135m", *figures], ["deepseek-r1-distill-qwen-7b", *figures]]
    out = io.StringIO()
    Console(file=out, width=width).print(tables.fitting(top.COLUMNS, rows, width, top.LEAST))
    head, first, second = out.getvalue().splitlines()
    assert max(map(len, (head, first, second))) <= width
    shown = next(
        left
        for out in range(len(top.LEAST) + 1)
        if head.split() == " ".join(left := [name for name in top.COLUMNS if name not in top.LEAST[:out]]).split()
    )
    whole = [cell for name, cell in zip(top.COLUMNS, rows[0], strict=True) if name in shown]
    for line in (first, second):
        assert line.split()[1:] == " ".join(whole).split()[1:]
    if width >= 36:
        assert (first.split()[0], second.split()[0]) == (rows[0][0], rows[1][0])


def test_no_column_is_left_out_for_which_there_is_room() -> None:
    rows = [["m", "1 ready", "1", "2", "3.5", "-", "-"]]
    out = io.StringIO()
    for width in (59, 58, 54):
        Console(file=out, width=width).print(tables.fitting(top.COLUMNS, rows, width, top.LEAST))
    heads = [line.split("  ")[-1].strip() for line in out.getvalue().splitlines()[::2]]
    assert heads == ["p99", "TTFT p50", "TTFT p50"]


# Files


def test_a_file_is_named_by_its_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Files.named_after("A lighthouse, at night!").path == Path("a-lighthouse-at-night.png")
    Path("a-lighthouse-at-night.png").touch()
    assert Files.named_after("a lighthouse at night").path == Path("a-lighthouse-at-night-2.png")
    assert Files.named_after("../../etc/passwd").path == Path("etc-passwd.png")
    assert Files.named_after("?!").path == Path("image.png")
    assert len(str(Files.named_after("word " * 100).path)) <= 44


def test_nothing_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    write(file, b"one", force=False)
    with pytest.raises(CommandFailed, match=r"is there already; give another name$"):
        write(file, b"two", force=False)
    with pytest.raises(CommandFailed, match=r"is there already; give another name, or --force$"):
        Files(file).check(1)
    with pytest.raises(CommandFailed, match=r"is there already; give another name$"):
        Files(tmp_path, force=True).check(1)
    Files(file).check(2)
    assert file.read_bytes() == b"one"
    write(file, b"two", force=True)
    assert file.read_bytes() == b"two"
    with pytest.raises(CommandFailed, match="cannot be written"):
        write(tmp_path / "no" / "x", b"", force=True)
