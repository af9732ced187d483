from prompt_toolkit.input.vt100_parser import Vt100Parser

from chatcli.repl.typeahead import Typeahead


def drafted(typed: str) -> tuple[str, ...]:
    draft = Typeahead()
    parser = Vt100Parser(draft.press)
    parser.feed_and_flush(typed)
    return draft.texts


def test_a_draft_shows_what_is_typed() -> None:
    assert drafted("") == ()
    assert drafted("hello") == ("hello",)
    assert drafted("helo\x1b[Dl") == ("hello",)
    assert drafted("one two\x17three") == ("one three",)
    assert drafted("nothing\x15") == ()
    assert drafted("a\x7fb") == ("b",)
    assert drafted("b\x01a\x05c") == ("abc",)


def test_a_late_reply_about_the_cursor_is_no_key() -> None:
    draft = Typeahead()
    Vt100Parser(draft.press).feed_and_flush("a\x1b[12;3Rb")
    assert draft.texts == ("ab",)
    assert [press.data for press in draft.keys] == ["a", "b"]


def test_lines_that_were_entered_wait() -> None:
    assert drafted("one\rtwo\rthr") == ("one", "two", "thr")
    assert drafted("one\x1b\rtwo\nthree") == ("one\ntwo\nthree",)


def test_a_long_paste_is_folded() -> None:
    assert drafted("see \x1b[200~" + "x\r" * 300 + "\x1b[201~") == ("see [pasted 300 lines]",)


def test_what_was_entered_before_a_question_came_is_no_answer_to_it() -> None:
    draft = Typeahead()
    Vt100Parser(draft.press).feed_and_flush("one\rtwo\r")
    draft.hold()
    again = Typeahead()
    for key in draft.keys:
        again.press(key)
    assert again.texts == ("one\ntwo",)
