import pytest

from chatcli.attachments.html import html_text, is_html

PAGE = """<!DOCTYPE html>
<html><head><title>A page</title><style>p { color: red }</style></head>
<body><h1>Head&amp;line</h1><script>alert("no <p>text</p>")</script>
<p>One <b>bold</b>
word.<br>Next line.</p><ul><li>first</li><li>second</ul><svg><text>drawn</text></svg></body></html>"""


def test_the_text_of_a_page_is_what_a_reader_sees() -> None:
    assert html_text(PAGE).splitlines() == ["A page", "Head&line", "One bold word.", "Next line.", "first", "second"]


@pytest.mark.parametrize(
    ("text", "page"),
    [(PAGE, True), ("\n<!-- x --><html>", True), ("<HTML lang=en>", True), ("<htmlx>", False), ("see <html>", False)],
)
def test_a_page_is_known_by_its_beginning(text: str, page: bool) -> None:
    assert is_html(text) is page
