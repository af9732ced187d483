# ruff: noqa: RUF001 - these are the symbols of mathematics
"""What the commands of LaTeX formulas stand for, and the small characters of Unicode."""

from enum import Enum, auto


def _commands(names: str) -> set[str]:
    return {f"\\{name}" for name in names.split()}


SUPERSCRIPTS = dict(
    zip(
        "0123456789+-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWβγδθφχ′ ",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵝᵞᵟᶿᵠᵡ′ ",
        strict=True,
    )
)
SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvxβγρφχ ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ ", strict=True))
_VULGAR = "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 1/8 3/8 5/8 7/8"
VULGAR = dict(zip(_VULGAR.split(), "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞", strict=True))
ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


class Kind(Enum):
    """What an atom is to its neighbours, which decides on the spaces between them."""

    ORDINARY = auto()
    SYMBOL = auto()  # ordinary, but of a command: the space after that is not shown
    BINARY = auto()
    RELATION = auto()
    OPEN = auto()
    CLOSE = auto()
    PUNCTUATION = auto()
    FUNCTION = auto()
    BIG = auto()  # a sum, an integral
    INNER = auto()  # a fraction, or the end of a root or of a script in letters
    SPACE = auto()


def _table(pairs: str) -> dict[str, str]:
    words = pairs.split()
    return {f"\\{name}": text for name, text in zip(words[::2], words[1::2], strict=True)}


def _kinds() -> dict[str, tuple[str, Kind]]:
    """Return the text and the kind of each command and character that stands for itself."""
    known: dict[str, tuple[str, Kind]] = {}
    tables = {
        Kind.SYMBOL: _table(
            "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ "
            "lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi φ "
            "varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ "
            "Omega Ω infty ∞ partial ∂ nabla ∇ hbar ℏ ell ℓ Re ℜ Im ℑ aleph ℵ emptyset ∅ varnothing ∅ forall ∀ "
            "exists ∃ nexists ∄ neg ¬ lnot ¬ top ⊤ bot ⊥ angle ∠ triangle △ square □ blacksquare ■ checkmark ✓ "
            "degree ° circ ∘ prime ′ dagger † ddagger ‡ star ⋆ bullet • ldots … dots … cdots ⋯ vdots ⋮ ddots ⋱ "
            "dotsc … dotsb ⋯ imath ı jmath ȷ complement ∁ wp ℘ therefore ∴ because ∵ pounds £ euro € S § P ¶ "
            "% % $ $ # # & & _ _ | ‖ Vert ‖ vert | backslash \\ qed ∎ vdash ⊢ models ⊨"
        ),
        Kind.BINARY: _table(
            "times × cdot · div ÷ pm ± mp ∓ ast ∗ cup ∪ cap ∩ setminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ oplus ⊕ "
            "ominus ⊖ otimes ⊗ odot ⊙ bmod mod mod mod"
        ),
        Kind.RELATION: _table(
            "leq ≤ le ≤ geq ≥ ge ≥ leqslant ≤ geqslant ≥ neq ≠ ne ≠ equiv ≡ approx ≈ sim ∼ simeq ≃ cong ≅ propto ∝ "
            "ll ≪ gg ≫ lt < gt > in ∈ notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ nsubseteq ⊈ "
            "perp ⊥ parallel ∥ mid ∣ nmid ∤ prec ≺ succ ≻ preceq ⪯ succeq ⪰ doteq ≐ asymp ≍ coloneqq ≔ "
            "to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ iff ⟺ "
            "implies ⟹ impliedby ⟸ mapsto ↦ longrightarrow ⟶ longleftarrow ⟵ Longrightarrow ⟹ Longleftarrow ⟸ "
            "Longleftrightarrow ⟺ longmapsto ⟼ uparrow ↑ downarrow ↓ updownarrow ↕ Uparrow ⇑ Downarrow ⇓ "
            "nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪ hookleftarrow ↩ rightharpoonup ⇀ "
            "rightleftharpoons ⇌ leadsto ⇝ colon :"
        ),
        Kind.OPEN: _table("{ { lbrace { lbrack [ langle ⟨ lfloor ⌊ lceil ⌈ lvert | lVert ‖"),
        Kind.CLOSE: _table("} } rbrace } rbrack ] rangle ⟩ rfloor ⌋ rceil ⌉ rvert | rVert ‖"),
        Kind.BIG: _table(
            "sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ "
            "bigwedge ⋀ bigvee ⋁"
        ),
        Kind.FUNCTION: {
            command: command[1:]
            for command in _commands(
                "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp min max inf sup lim "
                "det dim ker gcd deg arg hom Pr"
            )
        },
    }
    tables[Kind.FUNCTION] |= {"\\limsup": "lim sup", "\\liminf": "lim inf", "\\argmax": "arg max"}
    tables[Kind.FUNCTION] |= {"\\argmin": "arg min"}
    for kind, table in tables.items():
        known.update((name, (text, kind)) for name, text in table.items())
    for characters, kind in (
        ("+-*", Kind.BINARY),
        ("=<>", Kind.RELATION),
        ("([", Kind.OPEN),
        (")]!", Kind.CLOSE),
        (",;", Kind.PUNCTUATION),
    ):
        known.update((character, (character, kind)) for character in characters)
    known[":="] = ("≔", Kind.RELATION)
    return known


KNOWN = _kinds()
SPACES = _table("quad 2 qquad 4") | {f"\\{mark}": "1" for mark in (",", ":", ";", ">", "\n")}
SPACES |= {"~": "1", "\\ ": "1", "\\space": "1", "\\enspace": "1", "\\thinspace": "1"}
IGNORED = _commands(
    "! big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm Bigm displaystyle textstyle scriptstyle "
    "limits nolimits nonumber notag hline"
)
TEXTS = _commands("text textrm textbf textit textsf texttt mbox operatorname operatorname*")
FONTS = _commands("mathrm mathbf mathit mathsf mathtt boldsymbol bm mathfrak mathscr mathcal mathbb")
LETTERS = {
    "\\mathbb": dict(zip("ACEFHNPQRZ1", "𝔸ℂ𝔼𝔽ℍℕℙℚℝℤ𝟙", strict=True)),
    "\\mathcal": dict(zip("BEFHILMR", "ℬℰℱℋℐℒℳℛ", strict=True)),
}
LETTERS["\\mathscr"] = LETTERS["\\mathcal"]
ACCENTS = _table(
    "hat \u0302 widehat \u0302 bar \u0304 overline \u0305 tilde \u0303 widetilde \u0303 vec \u20d7 dot \u0307 "
    "ddot \u0308 underline \u0332"
)
FRACTIONS = {"\\frac", "\\dfrac", "\\tfrac", "\\cfrac"}
NEGATED = {"=": "≠", "\\in": "∉", "\\subset": "⊄", "\\subseteq": "⊈", "\\equiv": "≢", "\\mid": "∤", "<": "≮"}
NEGATED |= {">": "≯", "\\exists": "∄", "\\approx": "≉", "\\sim": "≁"}
ARROWS = {"\\xrightarrow": "→", "\\xleftarrow": "←", "\\xRightarrow": "⇒", "\\xmapsto": "↦"}
COLORS = _commands("color textcolor colorbox")
HORIZONTAL = _commands("hspace hspace* hskip mspace")
ROWS = {"aligned", "align", "split", "gathered", "gather", "equation", "multline", "eqnarray"}
MATRICES = {
    "matrix": ("", ""),
    "array": ("", ""),
    "pmatrix": ("(", ")"),
    "bmatrix": ("[", "]"),
    "Bmatrix": ("{", "}"),
    "vmatrix": ("|", "|"),
    "Vmatrix": ("‖", "‖"),
    "smallmatrix": ("", ""),
    "cases": ("{", ""),
}
