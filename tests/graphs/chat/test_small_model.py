"""What a small local model gets of a passage."""

from chatcli.graphs.chat.small_model import MAX_EXCERPT, MAX_PARAGRAPH, citing_options, closest, excerpt

TEXT = f"""# Installing Larkspur

## Requirements

Larkspur needs Linux and 200 MB of disk space. {"It is small and it is quick. " * 12}

## Install the package

Download it and run `larkspur-setup`.

## Remove it

Run `lark self-remove`. {"Snapshots stay. " * 20}
"""


def test_it_is_the_paragraph_that_the_question_is_about_with_its_heading() -> None:
    assert excerpt(TEXT, "How do I install Larkspur?") == (
        "## Install the package\n\nDownload it and run `larkspur-setup`."
    )
    assert excerpt(TEXT, "How do I remove it?").startswith("## Remove it\n\nRun `lark self-remove`.")
    assert excerpt(TEXT, "How much disk space is needed?").startswith("# Installing Larkspur\n\n## Requirements")


def test_a_short_passage_is_whole_and_a_strange_one_harmless() -> None:
    assert excerpt("One.\n\nTwo.", "Two?") == "One.\n\nTwo."
    assert excerpt("", "Two?") == ""
    assert len(excerpt("word " * 5000, "word?")) == MAX_PARAGRAPH
    assert len(excerpt("a line of text\n\n" * 500, "line?")) <= MAX_EXCERPT + 100


def test_of_several_passages_those_with_the_closest_paragraph_count() -> None:
    remove = "## Uninstall\n\nRun `lark self-remove` to get rid of Larkspur."
    assert closest([remove, TEXT, "Other text."], "How do I install Larkspur?") == [1]
    assert closest([remove, remove], "How do I install Larkspur?") == [0, 1]
    assert closest(["", "One."], "Two?") == [0, 1]
    assert closest([], "Two?") == []


def test_the_grammar_names_the_numbers_that_may_be_cited() -> None:
    grammar = citing_options([1, 3])["extra_body"]["grammar"]
    assert 'cite ::= "[" ("1" | "3") "]"' in grammar
    assert "Nothing in your documents matches this." in citing_options([])["extra_body"]["grammar"]
