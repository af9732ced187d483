"""Sixty everyday tasks for a small model, each with its check and with a right and a wrong answer to prove the check.

The checks were written before any model's answer was read. Every second task of a group is for choosing a prompt; the
others confirm the choice.
"""

from typing import NamedTuple

from tests.bench.answer_checks import (
    Check,
    at_most,
    both,
    bullets,
    expression,
    function,
    json_equal,
    label,
    one_line,
    result,
    says,
    table,
)


class Task(NamedTuple):
    """What a user types, a line for each turn; the answer to the last one is checked."""

    group: str
    turns: tuple[str, ...]
    check: Check
    right: str
    wrong: str


_MEETING = (
    "The team met on Monday. Sales in Spain grew by 12 percent, while those in Poland fell slightly. Marta will hire "
    "two engineers before summer. The move to the new office was postponed to October because the building is not "
    "ready."
)
_MUSEUM = (
    "The city museum will close its doors from January to March. Workers will replace the roof, which has leaked since "
    "a storm two years ago. The paintings will be kept in the library, where visitors can see some of them for free. "
    "The repair costs 3 million euros and is paid by the state."
)
_BEES = (
    "Bees are more than makers of honey. They pollinate about a third of the plants that we eat, among them apples and "
    "almonds. Their number has fallen in many countries, mostly because of pesticides and the loss of meadows. Farmers "
    "who leave strips of wild flowers beside their fields have seen the bees come back within three years."
)
_EMAIL = (
    "Hi all, sorry for the late notice. The electrician can only come on Tuesday, so our planning meeting can't take "
    "place then. Let's meet on Thursday at 10 in room 4 instead. Please bring your figures. Best, Jana"
)
_TRACEBACK = """Traceback (most recent call last):
  File "main.py", line 7, in <module>
    run()
  File "parser.py", line 42, in run
    value = int(text)
ValueError: invalid literal for int() with base 10: 'abc'"""

FACTS = (
    Task(
        "facts",
        ("Why is the sky blue?",),
        says(
            "scatter",
            "blue|short(er)? wave",
            never=r"(?<!not )(?<!not a )(?<!not the )reflect\w* (of|from|off)( the)? (sun|ocean|sea|water)"
            r"|(red|long)[^.]{0,30}scatter\w* more",
        ),
        "Molecules of air scatter **blue** light more than red. It's not a reflection of the ocean.",
        "The sky is blue as it is a reflection of the sun, whose blue light is scattered by the ocean.",
    ),
    Task(
        "facts",
        ("What is the capital of Australia?",),
        says("canberra", never="capital [^.]*is sydney"),
        "It's Canberra, not Sydney.",
        "The capital of Australia is Sydney.",
    ),
    Task(
        "facts", ("How many days does a leap year have?",), says(r"\b366\b"), "366 days.", "A leap year has 365 days."
    ),
    Task("facts", ('Who wrote the novel "Pride and Prejudice"?',), says("austen"), "Jane Austen", "Charlotte Brontë"),
    Task(
        "facts",
        ("In which year did the Berlin Wall fall?",),
        says(r"\b1989\b", never=r"fell in (?!1989)\d{4}"),
        "It fell on November 9, 1989, and had stood since 1961.",
        "The wall fell in 1991.",
    ),
    Task(
        "facts",
        ("Which planet in our solar system is the largest?",),
        says("jupiter", never="saturn is the largest"),
        "Jupiter is the largest; Saturn comes next.",
        "The largest planet is Saturn.",
    ),
    Task(
        "facts",
        ("What does the HTTP status code 404 mean?",),
        says(r"not found|(can|could|does|did|was) ?(not|n?'t) (be )?(find|found|exist|locate)|no such"),
        "404 means that the server can't find the page.",
        "It means that you have no permission.",
    ),
    Task(
        "facts",
        ("Why are there seasons on Earth?",),
        says(r"tilt|inclin|\baxis", never=r"(because|due to|caused by)(?:(?!not|tilt|inclin)[^.]){0,60}distance"),
        "Because the Earth's axis is tilted by 23.5 degrees. The distance from the Sun is not the reason.",
        "Seasons are caused by the changing distance of the Earth from the Sun, whatever its axis.",
    ),
)

TRANSLATION = (
    Task(
        "translation",
        ("Translate into Spanish: Good morning, where is the station?",),
        says(r"buen(os)? dias?", r"donde (esta|queda|se encuentra)", "estacion"),
        "¡Buenos días! ¿Dónde está la estación?",
        "Buenas noches, ¿dónde está la playa?",
    ),
    Task(
        "translation",
        ("Translate into French: I would like a coffee without sugar, please.",),
        says(r"voudrais|aimerais|souhaiterais|prendrai", "cafe", "sans sucre", r"s'il (vous|te) plait"),
        "Je voudrais un café sans sucre, s\u2019il vous plaît.",
        "J'aimerais un café avec du sucre, s'il vous plaît.",
    ),
    Task(
        "translation",
        ("Translate into German: The train is ten minutes late.",),
        says(r"\bzug\b", "(zehn|10) minuten|10-minutig|zehnminutig", "verspat|zu spat|spater|verzoger"),
        "Der Zug hat zehn Minuten Verspätung.",
        "Der Zug kommt in zehn Minuten.",
    ),
    Task(
        "translation",
        ("Translate into Italian: Where can I buy a ticket?",),
        says(r"dove (posso|si puo|potrei)", "comprare|acquistare|prendere", "bigliett"),
        "Dove posso comprare un biglietto?",
        "Quando posso comprare una borsa?",
    ),
    Task(
        "translation",
        ("Translate into Chinese: Thank you for your help.",),
        says("谢|謝", "帮|幫|协助|協助"),
        "谢谢你的帮助。",
        "你好,再见。",
    ),
    Task(
        "translation",
        ("What does this mean in English? Der Laden ist am Sonntag geschlossen.",),
        says(r"\b(shop|store)\b", "closed|shut", r"\bsundays?\b"),
        "It means: The shop is closed on Sunday.",
        "The shop is open on Saturday.",
    ),
)

SUMMARY = (
    Task(
        "summary",
        (f"Summarize this in at most 40 words: {_MEETING}",),
        both(
            at_most(40),
            says("spain", "office|october", never="(sales in spain|spanish sales) (fell|decreas|declin)|poland grew"),
        ),
        "Sales grew in Spain and fell in Poland, two engineers come, and the move to the office is in October.",
        f"Here it is. {_MEETING}",
    ),
    Task(
        "summary",
        (f"Summarize this in one sentence: {_MUSEUM}",),
        both(
            at_most(60),
            says("museum", "clos", "roof|repair|renovat", never=r"[.!?]\s+\S"),
        ),
        "The city museum will be closed from January to March while its roof is replaced.",
        "The museum closes. The roof leaks.",
    ),
    Task(
        "summary",
        (f"What are the three main points of this text? Answer with a list of three items.\n\n{_BEES}",),
        both(bullets(3), says("pollinat", "pesticide|meadow|declin|fall", "flower|farmer")),
        "1. Bees pollinate what we eat.\n2. Their number has fallen.\n3. Strips of wild flowers bring them back.",
        "- Bees pollinate.\n- They make honey.",
    ),
    Task(
        "summary",
        (f"In one short sentence: what changes, according to this e-mail? {_EMAIL}",),
        both(at_most(45), says("thursday", "meeting|meet")),
        "The planning meeting moves from Tuesday to Thursday at 10.",
        "The meeting takes place on Tuesday.",
    ),
)

_ASK_COMMIT = "Write a commit message of one line for this diff. Answer with the message only.\n\n"

COMMIT = (
    Task(
        "commit message",
        (
            f"""{_ASK_COMMIT}--- a/fetch.py
+++ b/fetch.py
@@ -3,3 +3,3 @@
 def fetch(url):
-    return requests.get(url).text
+    return requests.get(url, timeout=10).text
""",
        ),
        both(one_line(), says("time-? ?out")),
        "```\nfix: add a timeout of 10 seconds to fetch\n```",
        "Update fetch.py",
    ),
    Task(
        "commit message",
        (
            f"""{_ASK_COMMIT}--- a/users.py
+++ b/users.py
@@ -1,4 +1,4 @@
-def get_usr(name):
+def get_user(name):
     return table[name]
""",
        ),
        both(one_line(), says(r"renam|typo|spell|get_?usr\b.*get_user|name of")),
        'git commit -m "Rename get_usr to get_user"',
        "Add a function that gets a user",
    ),
    Task(
        "commit message",
        (
            f"""{_ASK_COMMIT}--- a/README.md
+++ b/README.md
@@ -10,3 +10,3 @@
-You will recieve an e-mail.
+You will receive an e-mail.
""",
        ),
        both(one_line(), says(r"typo|spell|(fix|correct).*(receive|word)")),
        "docs: fix a typo in the README",
        "Add an e-mail to the README",
    ),
    Task(
        "commit message",
        (
            f"""{_ASK_COMMIT}--- a/app.py
+++ b/app.py
@@ -1,9 +1,5 @@
-def old_report(rows):
-    # No longer used.
-    return "\\n".join(rows)
-
 def report(rows):
     return "\\n".join(sorted(rows))
""",
        ),
        both(one_line(), says("remov|delet|drop", "report|unused|function|old|dead")),
        "Remove the unused function `old_report`",
        "Sort the rows of the report",
    ),
)

EXTRACTION = (
    Task(
        "extraction",
        (
            "Extract name, age and city as JSON with the keys name, age and city: "
            "My neighbour Clara Weber, who turned 34 in May, has just moved from Bremen to Hamburg.",
        ),
        json_equal({"name": "Clara Weber", "age": 34, "city": "Hamburg"}),
        '```json\n{"name": "Clara Weber", "age": "34", "city": "Hamburg"}\n```',
        '{"name": "Clara Weber", "age": 34, "city": "Bremen"}',
    ),
    Task(
        "extraction",
        (
            "List all e-mail addresses in this text: Write to anna@example.org or, if she is away, to "
            "tom.b@example.com; our site is www.example.net, and on the network we are @example.",
        ),
        says(r"anna@example\.org", r"tom\.b@example\.com", never=r"www\.|(?<!\w)@example"),
        "- anna@example.org\n- tom.b@example.com",
        "anna@example.org, www.example.net, tom.b@example.com",
    ),
    Task(
        "extraction",
        (
            "Give both dates in this text in the form YYYY-MM-DD: The contract was signed on March 3, 2024 and ends on "
            "15 September 2026.",
        ),
        says("2024-03-03", "2026-09-15"),
        "2024-03-03 and 2026-09-15",
        "2024-03-03, 2026-15-09",
    ),
    Task(
        "extraction",
        (
            "Which people are named in this text? List their names only. At the opening in Lyon, Maria Lopez of "
            "Siemens thanked Ken Adams, and later Yuki Tanaka showed the guests around.",
        ),
        says("maria lopez", "ken adams", "yuki tanaka", never=r"\b(lyon|siemens)\b"),
        "Maria Lopez, Ken Adams, Yuki Tanaka",
        "Maria Lopez, Siemens, Ken Adams, Yuki Tanaka",
    ),
    Task(
        "extraction",
        (
            'Turn this order into a JSON list of objects with the keys "item" and "quantity": '
            "I'd like three coffees, one tea and 12 croissants.",
        ),
        lambda answer: any(
            json_equal(
                [
                    {"item": f"coffee{coffees}", "quantity": 3},
                    {"item": "tea", "quantity": 1},
                    {"item": f"croissant{croissants}", "quantity": 12},
                ]
            )(answer)
            for coffees in ("", "s")
            for croissants in ("", "s")
        ),
        '[{"item": "coffee", "quantity": 3}, {"item": "Tea", "quantity": 1}, {"item": "croissants", "quantity": 12}]',
        '[{"item": "coffee", "quantity": 1}, {"item": "tea", "quantity": 1}, {"item": "croissants", "quantity": 12}]',
    ),
    Task(
        "extraction",
        (
            "What is the total of this invoice? Answer with the amount only. Invoice 4471, 2 May 2026. Paper 150.00, "
            "ink 50.00, net 200.00, VAT 38.00, total 238.00 EUR, due within 30 days.",
        ),
        both(result(238), says("238", never="4471")),
        "238.00 EUR",
        "The total of invoice 4471 is 200.00 EUR",
    ),
    Task(
        "extraction",
        (
            "What is the phone number? Reply with the number only. Dear guests, breakfast is from 7 to 10. For a late "
            "check-out call 030 555 0172 before 9. Room 214 has been prepared for you.",
        ),
        says(r"030[ -]?555[ -]?0172", never=r"\b214\b"),
        "030-555-0172",
        "214",
    ),
    Task(
        "extraction",
        (f"In which file and line did this error occur?\n\n{_TRACEBACK}",),
        says(r"parser\.py", r"\b42\b"),
        "In `parser.py`, line 42, which is called from main.py.",
        "It occurred in main.py, line 7.",
    ),
)

ARITHMETIC = (
    Task(
        "arithmetic",
        ("A notebook costs 3 euros and a pen 2 euros. How much do 4 notebooks and 7 pens cost together?",),
        result(26),
        "4 x 3 = 12 and 7 x 2 = 14.\n\nTogether they cost **26 euros**.",
        "They cost 12 + 14 = 28 euros.",
    ),
    Task(
        "arithmetic",
        ("A train leaves at 9:40 and arrives at 12:15. How many minutes does the ride take?",),
        result(155),
        "From 9:40 to 12:15 it is 155 minutes, or 2 hours and 35 minutes.",
        "The ride takes 175 minutes.",
    ),
    Task(
        "arithmetic",
        (
            "A jacket costs 80 dollars. Its price is reduced by 25 percent, and I have a voucher for another 15 "
            "dollars. What do I pay?",
        ),
        result(45),
        "80 - 20 = 60, less 15: you pay $45.00.",
        "You pay 40 dollars.",
    ),
    Task(
        "arithmetic",
        ("I have 3 boxes with 12 eggs each. 5 eggs break, and I give 8 away. How many eggs are left?",),
        result(23),
        "36 - 5 - 8 = 23",
        "36 eggs - 5 = 31 eggs are left.",
    ),
    Task(
        "arithmetic",
        ("Tom is 17 years old. His aunt is three times as old as he was 4 years ago. How old is his aunt?",),
        result(39),
        "Four years ago Tom was 13.\nHis aunt is 3 * 13 = 39 years old.",
        "His aunt is 51 years old.",
    ),
    Task("arithmetic", ("What is 17 * 23?",), result(391), "17 * 23 = 391.", "It is 381."),
)

MEMORY = (
    Task("memory", ("Hi! I'm Bob.", "What's my name?"), says(r"\bbob\b"), "You're Bob!", "I don't know your name."),
    Task(
        "memory",
        (
            "My favourite colour is green, and I have a cat called Milo.",
            "Tell me something about the moon, in one sentence.",
            "What is my cat called?",
        ),
        says("milo"),
        "Your cat is called Milo.",
        "Your cat is called Luna.",
    ),
    Task(
        "memory",
        ("I live in Oslo.", "I work as a nurse.", "What is 2 + 2?", "Where do I live, and what is my job?"),
        says("oslo", "nurs"),
        "You live in Oslo and work as a nurse.",
        "You live in Oslo. I don't know your job.",
    ),
    Task(
        "memory",
        (
            "Please remember the number 4711.",
            "Tell me a fun fact about cats, in one sentence.",
            "Which number should you remember?",
        ),
        says(r"\b4,?711\b"),
        "4711",
        "I can't remember numbers.",
    ),
    Task(
        "memory",
        ("We plan a trip to Rome in May.", "Actually, we'll go in June.", "Where are we going, and in which month?"),
        says("rome", "june", never=r"\bin may\b(?!,? (but|to))"),
        "You are going to Rome in June.",
        "You are going to Rome in May, and June is warm.",
    ),
    Task(
        "memory",
        ("Write one short sentence about a dog.", "Now translate it into Spanish."),
        says(r"\bperr[oa]s?\b"),
        "El perro duerme.",
        "The dog is sleeping.",
    ),
    Task(
        "memory",
        (
            "My shopping list: milk and bread.",
            "Add eggs to the list.",
            "Remove the bread.",
            "Add apples.",
            "Show me the list.",
        ),
        says("milk", "eggs?", "apples?", never=r"bread(?!( was| has been| is)? removed)"),
        "- Milk\n- Eggs\n- Apples",
        "Milk, bread, eggs, apples",
    ),
    Task(
        "memory",
        ("What is the capital of France?", "And of Italy?"),
        says(r"\brome?a?\b", never="italy is paris"),
        "The capital of Italy is Rome.",
        "The capital of France is Paris.",
    ),
)

REWRITING = (
    Task(
        "rewriting",
        ("Turn this into a bullet list: apples, pears, plums and cherries",),
        both(bullets(4), says("apples", "pears", "plums", "cherries", never=r"\band\b +cherries")),
        "Sure:\n\n* apples\n* pears\n* plums\n* cherries",
        "- apples\n- pears\n- plums and cherries",
    ),
    Task(
        "rewriting",
        ("Make a Markdown table with the columns Name and Age: Anna is 31, Ben is 27.",),
        table(("Name", "Age"), ("Anna", "31"), ("Ben", "27")),
        "| Name | Age |\n|------|----:|\n| **Anna** | 31 |\n| Ben | 27 |",
        "| Name | Age |\n|---|---|\n| Anna | 27 |\n| Ben | 31 |",
    ),
    Task(
        "rewriting",
        (f"Write a title of at most eight words for this text. Answer with the title only.\n\n{_BEES}",),
        both(at_most(8), says(r"\bbees?|pollinat")),
        '"Title: How Farmers Bring Back the Bees"',
        "Bees are more than makers of honey, since they pollinate what we eat",
    ),
    Task(
        "rewriting",
        ("Make this sentence more polite: Send me the report now.",),
        both(says("report", "please|could|would|kind|grateful|appreciate"), at_most(60)),
        "Could you please send me the report?",
        "Send me the report immediately.",
    ),
    Task(
        "rewriting",
        ("Correct the spelling: I recieved teh pacakge yesterdy.",),
        says("i received the package yesterday"),
        'The corrected sentence is: "I received the package yesterday."',
        "I recieved the package yesterday.",
    ),
    Task(
        "rewriting",
        ("Sort these names by the alphabet: Zoe, Adam, Mia, Karl",),
        says(r"adam[\W\d]+karl[\W\d]+mia[\W\d]+zoe"),
        "1. Adam\n2. Karl\n3. Mia\n4. Zoe",
        "Adam, Mia, Karl, Zoe",
    ),
)

CODE = (
    Task(
        "code",
        ("Write a Python function is_palindrome(text) that ignores case and spaces.",),
        function(
            "is_palindrome",
            (("Never odd or even",), True),
            (("abc",), False),
            (("",), True),
            (("Anna",), True),
        ),
        "```python\ndef is_palindrome(text):\n    t = text.lower().replace(' ', '')\n    return t == t[::-1]\n```",
        "```python\ndef is_palindrome(text):\n    return text == text[::-1]\n```",
    ),
    Task(
        "code",
        ("Write a Python function count_words(text) that returns a dictionary of each lower-case word and its count.",),
        function("count_words", (("a b A",), {"a": 2, "b": 1}), (("",), {})),
        "from collections import Counter\ndef count_words(text):\n    return dict(Counter(text.lower().split()))",
        "def count_words(text):\n    return len(text.split())",
    ),
    Task(
        "code",
        (
            "Write a Python function fibonacci(n) that returns a list of the first n Fibonacci numbers, which begin "
            "0, 1.",
        ),
        function("fibonacci", ((1,), [0]), ((2,), [0, 1]), ((7,), [0, 1, 1, 2, 3, 5, 8])),
        "```py\ndef fibonacci(n):\n    a = [0, 1]\n    while len(a) < n:\n        a += [sum(a[-2:])]\n    return a[:n]",
        "```python\ndef fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\n```",
    ),
    Task(
        "code",
        ("Write a regular expression that matches dates like 2024-03-15. Answer with the expression only.",),
        expression(("2024-03-15", "1999-12-31"), ("2024-3-15", "15.03.2024", "20240315", "abcd-ef-gh")),
        r"`^\d{4}-\d{2}-\d{2}$`",
        r"```\d+\.\d+```",
    ),
    Task(
        "code",
        ("Which shell command counts the lines of the file notes.txt? Answer with the command only.",),
        says(r"wc -l\b.*notes\.txt|notes\.txt *\| *wc -l|(grep|awk|sed)\b.*(-c|\bnr\b|\$=).*notes\.txt"),
        "```sh\nwc -l < notes.txt\n```",
        "cat notes.txt",
    ),
    Task(
        "code",
        (
            "Which shell command finds all files below this folder whose names end in .py? Answer with the command "
            "only.",
        ),
        says(r"find\b.*-i?name[ =]+[\"'\\]*\.py\b|find\b.*-i?regex.*\.py|[ ./]/\.py|\bfd\b.*\bpy\b|rg --files.*\.py"),
        '`find . -type f -name "*.py"`',
        "ls *.py",
    ),
)

CLASSIFICATION = (
    Task(
        "classification",
        (
            "Is this review positive or negative? Answer with one word. The room was small and loud, and nobody "
            "answered when we asked for towels.",
        ),
        label("negative", "positive"),
        "**Negative**.",
        "Positive",
    ),
    Task(
        "classification",
        (
            "Is this message spam or normal? Answer with one word. Congratulations!!! You have won a phone. Click here "
            "within 10 minutes to claim your prize.",
        ),
        label("spam", "normal"),
        "Spam",
        "normal",
    ),
    Task(
        "classification",
        ("In which language is this sentence? Hol van a könyvtár, kérem?",),
        says("hungarian|magyar"),
        "It is Hungarian.",
        "It is Turkish.",
    ),
    Task(
        "classification",
        (
            "Sort this request into one of the categories billing, technical or account. Answer with the category "
            "only. I was charged twice for March and would like my money back.",
        ),
        label("billing", "technical", "account"),
        "Category: Billing",
        "Account",
    ),
)

TASKS = FACTS + TRANSLATION + SUMMARY + COMMIT + EXTRACTION + ARITHMETIC + MEMORY + REWRITING + CODE + CLASSIFICATION

CHOOSING = TASKS[::2]
"""The tasks by which a prompt is chosen: every group has an even number of tasks."""
CONFIRMING = TASKS[1::2]
