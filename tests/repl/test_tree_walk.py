"""The rows of /tree: what is indented, and what stands where."""

from chatcli.commands.branches import MAX_DEPTH, tree_listing, tree_rows
from chatcli.message import Excerpt
from chatcli.sessions.history import Turn


def turns(*parents: int | None, here: int) -> list[Turn]:
    """Return turns that follow `parents`, of which the branch up to `here` is current."""
    current, number = set[int | None](), here
    while number:
        current.add(number)
        number = parents[number - 1] or 0
    return [Turn(n, f"q{n}", p, None, f"c{n}", n in current) for n, p in enumerate(parents, 1)]


def drawn(found: list[Turn]) -> list[str]:
    return [f"{'+' if row.begins else '|' if row.depth else ''}{row.depth} {row.number}" for row in tree_rows(found)]


def test_a_long_chain_is_one_column() -> None:
    rows = list(tree_rows(turns(None, *range(1, 2000), here=2000)))
    assert {row.depth for row in rows} == {0}
    assert [row.number for row in rows] == list(range(1, 2001))
    assert [row.number for row in rows if row.here] == [2000]


def test_only_forks_are_indented_and_the_current_branch_stays_in_its_column() -> None:
    # 1 - 2 - 3, 2 - 4; 1 - 5 - 6 is current
    found = turns(None, 1, 2, 2, 1, 5, here=6)
    assert drawn(found) == ["0 1", "+1 2", "+2 3", "|1 4", "0 5", "0 6"]
    assert [row.number for row in tree_rows(found) if row.forks] == [1, 2]


def test_several_first_questions_are_several_branches() -> None:
    assert drawn(turns(None, None, 2, None, here=3)) == ["+1 1", "+1 4", "0 2", "0 3"]


def test_deep_forks_are_indented_no_further() -> None:
    # Each turn has two followers, of which the first has two again.
    parents: list[int | None] = [None]
    for number in range(1, 60, 2):
        parents += [number, number]
    rows = list(tree_rows(turns(*parents, here=1)))
    assert max(row.depth for row in rows) <= MAX_DEPTH
    assert sorted(row.number for row in rows) == list(range(1, len(parents) + 1))


def test_the_printed_tree_fits_80_columns() -> None:
    found = [Turn(n, "long " * 12, n - 1 or None, None, f"c{n}", True) for n in range(1, 1001)]
    listing = tree_listing(found, {n: Excerpt("", "word\n" * 300) for n in range(1, 1001)})
    assert all(sum(map(len, row)) + 10 <= 80 for row in listing.rows)
    assert listing.rows[-1][1].endswith("...  <- here")
