"""Questions in everyday words about modules of Python's standard library, and some that it does not answer."""

import pydoc
from pathlib import Path

MODULES = (
    "abc argparse array ast asyncio atexit base64 bdb binascii bisect bz2 cProfile calendar cmath cmd code codecs"
    " collections colorsys compileall concurrent.futures configparser contextlib contextvars copy csv ctypes"
    " dataclasses datetime decimal difflib dis doctest email enum faulthandler filecmp fileinput fnmatch fractions"
    " ftplib functools gc getopt getpass gettext glob graphlib gzip hashlib heapq hmac html http.client http.server"
    " imaplib importlib inspect io ipaddress itertools json keyword linecache locale logging lzma mailbox math"
    " mimetypes mmap multiprocessing netrc numbers operator optparse os pathlib pdb pickle pickletools pkgutil platform"
    " plistlib poplib pprint profile pstats py_compile pyclbr queue quopri random re reprlib runpy sched secrets"
    " select selectors shelve shlex shutil signal site smtplib socket socketserver sqlite3 ssl stat statistics string"
    " struct subprocess symtable sys sysconfig tabnanny tarfile tempfile textwrap threading time timeit token tokenize"
    " tomllib trace traceback tracemalloc types typing unicodedata unittest urllib.parse urllib.request uuid venv"
    " warnings wave weakref webbrowser wsgiref xml.dom xml.etree.ElementTree xml.sax xmlrpc.client zipapp zipfile"
    " zipimport zlib zoneinfo"
)
"""Those of all versions and systems, apart from tests, windows to draw in, and games."""

QUESTIONS = """
put numbers in order of importance and always take the smallest first: heapq queue
make a temporary directory that disappears by itself: tempfile
turn a spreadsheet export into rows: csv
how do I guess what kind of file something is from its ending?: mimetypes
write messages about what my program does to a file: logging
run another program and read what it prints: subprocess
pack several files into one compressed archive: zipfile tarfile shutil
work out how many days lie between two dates: datetime
pick a random item from a list: random secrets
make a password that nobody can guess: secrets
check how long a small piece of code takes: timeit
find the part of my program that is slow: cProfile profile pstats
shorten a long text to fit a given width: textwrap
compare two texts and show what changed: difflib
remember the results of a slow function so that it is not computed twice: functools
exact arithmetic with money: decimal
save a Python object to disk and load it later: pickle shelve
read the options that were typed behind a command: argparse optparse getopt
split a command line the way a shell does: shlex
copy a whole folder: shutil
list all files whose names end in .txt: glob fnmatch pathlib
the average and the spread of some numbers: statistics
open a page in the user's browser: webbrowser
count how often each word occurs: collections
keep a list sorted while adding to it: bisect
do something when the program ends: atexit
ask for a password without showing it: getpass
which words are reserved by the language?: keyword
convert bytes to text that is safe to send by mail: base64 quopri binascii email
fingerprint of a file's content: hashlib zlib
prove with a shared secret that a message was not altered: hmac
print nested data so that a person can read it: pprint
order tasks so that each comes after those that it needs: graphlib
send an e-mail: smtplib email
a small database in a single file: sqlite3
which addresses belong to a network?: ipaddress
"""
"""Each with the modules that answer it."""
UNANSWERED = """
train a neural network that recognises cats
draw a bar chart of my monthly expenses
how do I read the text in a scanned photo?
convert an MP3 song to another pitch
deploy my website on Kubernetes
translate a German sentence into English
which graphics card do I need for this game?
when does the next train to Berlin leave?
how long may I keep cooked rice in the fridge?
who won the football world cup in 1990?
my tomato plants have yellow leaves
what does a plumber charge for an hour?
send money to a friend in Canada
book a hotel room near the airport
how do I get rid of the moths in my wardrobe?
"""


def write_modules(folder: Path) -> None:
    """Write what `help` shows of each module to a file of `folder`."""
    for name in MODULES.split():
        text = pydoc.plain(pydoc.render_doc(name))  # without bold letters
        (folder / f"{name}.txt").write_text(text, "utf-8", "surrogatepass")
