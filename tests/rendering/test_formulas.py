# ruff: noqa: RUF001 - these are the symbols of mathematics
"""LaTeX formulas, HTML, alerts and diagrams in Markdown."""

import pytest

from chatcli.rendering import theme
from chatcli.rendering.markdown.formulas import MAX_LENGTH, formula_text
from chatcli.rendering.theme import plain_text
from tests.rendering.screen import render_markdown


def shown(markdown: str, width: int = 80) -> str:
    return "\n".join(plain_text(line) for line in render_markdown(markdown, width))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("$x^2$", "x²"),
        (r"\(x_i\)", "xᵢ"),
        (r"$$\sum_{i=1}^{n} i = \frac{n(n+1)}{2}$$", "∑ᵢ₌₁ⁿ i = n(n + 1)/2"),
        (r"$x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$", "x = (-b ± √(b² - 4ac))/(2a)"),
        (r"$e^{i\pi} + 1 = 0$", "e^(iπ) + 1 = 0"),
        (r"$\int_0^\infty e^{-x} \, dx$", "∫₀^∞ e⁻ˣ dx"),
        (r"$\lim_{x \to 0} \frac{\sin x}{x} = 1$", "lim_(x→0) (sin x)/x = 1"),
        (r"$\frac{dy}{dx}$", "dy/dx"),
        (r"$\frac12x$", "½x"),
        (r"$\left( \frac{a}{b} \right)^2$", "(a/b)²"),
        (r"$\frac{1}{2a}$", "1/(2a)"),
        (r"$\sqrt[3]{x} + 2\sqrt{3}y$", "∛x + 2√3 y"),
        (r"$\alpha x\leq\beta$", "αx ≤ β"),
        (r"$2 \pi r$", "2πr"),
        (r"$O(n \log n)$", "O(n log n)"),
        (r"$f: \mathbb{R}^n \to \mathbb{R}$", "f: ℝⁿ → ℝ"),
        (r"$d_{\text{model}} = 512$", "d_model = 512"),
        (r"$90^\circ$", "90°"),
        (r"$A \Rightarrow \neg B$", "A ⇒ ¬B"),
        (r"$x \not\in \{1, 2\}$", "x ∉ {1, 2}"),
        ("$1,000 + a,b$", "1,000 + a, b"),
        ("$f'(x)$", "f′(x)"),
        ("$-x - -1$", "-x - -1"),
        (r"$A \xrightarrow{f} B^\top$", "A ─f→ Bᵀ"),
        (r"$\textcolor{red}{x}\hspace{1em}\overline{AB}$", "x A̅B̅"),
        (r"$\left[\begin{array}{cc} 1 & 2 \\ 3 & 4 \end{array}\right]$", "[1, 2; 3, 4]"),
        (r"$\left.\frac{df}{dx}\right|_{x=0}$", "df/dx|ₓ₌₀"),
        (r"$\hat{y}$", "ŷ"),
        (r"$\boxed{42}$", "42"),
        (r"$\begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{else} \end{cases}$", "{1, if x > 0; 0, else"),
        (r"$\begin{pmatrix} a & b \\ c & d \end{pmatrix}$", "(a, b; c, d)"),
        (r"\[\begin{aligned} ab &= c \\ &= d \end{aligned}\]", "ab = c\n   = d"),
    ],
)
def test_a_formula_as_text(source: str, text: str) -> None:
    assert formula_text(source) == text


@pytest.mark.parametrize(
    "source",
    [
        r"$\unknown{x}$",
        r"$\frac{a}$",
        "$x^$",
        "$x^{2$",
        "$a & b$",
        r"$\underbrace{x}_{y}$",
        r"$\begin{tikzpicture} \end{tikzpicture}$",
        r"$\text{a \unknown b}$",
        "$$" + "x" * MAX_LENGTH + "$$",
        "$" + "{" * 500 + "x" + "}" * 500 + "$",
        "$" + "x^" * 500 + "2$",
        "$" + r"\sqrt" * 500 + "2$",
    ],
)
def test_what_has_no_good_text_form_is_shown_as_it_is_written(source: str) -> None:
    assert formula_text(source) is None
    assert "".join(shown(source).split()) == "".join(source.split())


@pytest.mark.parametrize(
    "text",
    [
        "it costs $5 and $10",
        "$5 or $10, not 5$ or 10$",
        "US$5 and AU$ 6",
        "$20-$30",
        "from $5/month to 10$/month",
        "$HOME/bin:$PATH and $HOME/$USER",
        "$FOO$BAR",
        "`$x^2$` stays",
    ],
)
def test_prices_paths_and_code_are_no_formulas(text: str) -> None:
    assert shown(text) == text.replace("`", "")


def test_a_formula_of_several_lines_is_one_paragraph_whatever_they_begin_with() -> None:
    assert shown("So\n$$\na\n- b\n= c\n$$\nholds\n\n$$\n- open\n\n- item") == (
        "So\n\na - b = c\n\nholds\n\n$$\n- open\n\n• item"
    )
    assert shown("$$\nx\n```\ncode\n```\n") == "$$\nx\n\n╭─\ncode\n╰─"


def test_common_tags_count_in_pairs_and_no_other_tag_is_interpreted() -> None:
    source = "H<sub>2</sub>O, x<SUP>n-1</SUP>, q<sub>*q*r</sub>, <sub>open, <b onclick=x>no</b>, <sub class=x>2</sub>"
    assert shown(source) == "H₂O, xⁿ⁻¹, q_(qr), <sub>open, <b onclick=x>no</b>, <sub class=x>2</sub>"
    assert shown("a<br>b<br/>c") == "a\nb\nc"
    assert shown("`<kbd>x</kbd>`\n\n```\n<kbd>x</kbd>\n```") == "<kbd>x</kbd>\n\n╭─\n<kbd>x</kbd>\n╰─"
    (line,) = render_markdown("<kbd>Ctrl</kbd>+<kbd>**C**</kbd>", 80)
    assert [(run.text, run.style.reverse) for run in line] == [("Ctrl", True), ("+", None), ("C", True)]
    assert shown("<script>\nalert(1)\n</script>") == "<script>\nalert(1)\n</script>"
    assert shown("<sub>" * 3000 + "x" + "</sub>" * 3000).count("<sub>") > 2000
    assert "\x1b" not in shown("<kbd>&#27;[2J</kbd><sub>&#27;</sub>")


def test_details_have_their_summary_as_a_title_and_an_end_mark() -> None:
    source = "<details>\n<summary>More <i>x</i></summary>\n\n**Inside**\n\n</details>\n\nAfter"
    assert shown(source) == "▾ More <i>x</i>\n\nInside\n\n▴\n\nAfter"
    assert shown("<details open><summary>S</summary>text\n<p>tag</details>") == "▾ S\ntext\n<p>tag\n▴"
    assert shown("<details>\n\ntext") == "▾\n\ntext"


@pytest.mark.parametrize("kind", ["NOTE", "TIP", "IMPORTANT", "WARNING", "CAUTION"])
def test_an_alert_has_its_title_and_colour(kind: str) -> None:
    lines = render_markdown(f"> [!{kind}]\n> Some *text*\n>\n> - a list\n", 80)
    assert [plain_text(line) for line in lines] == [f"│ {kind.capitalize()}", "│ Some text", "│", "│ • a list"]
    assert all(line[0].style == theme.ALERTS[kind] for line in lines[1:])
    assert lines[0][0].style.color == theme.ALERTS[kind].color


def test_a_quote_that_begins_otherwise_is_a_quote() -> None:
    assert shown("> [!NOTE] text") == "│ [!NOTE] text"
    assert shown("> [!OTHER]\n> text") == "│ [!OTHER]\n│ text"
    assert shown("[!NOTE]\ntext") == "[!NOTE]\ntext"


def test_a_diagram_stays_source_with_its_language() -> None:
    assert shown("```mermaid\ngraph TD; A-->B\n```") == "╭─ mermaid\ngraph TD; A-->B\n╰─"
