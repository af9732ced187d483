"""Files, images, PDFs and web pages that go along with a question.

read          from what the user named (a path, a URL, stdin) to an `Attachment`
sniff         what kind of file some bytes are
text          text of any encoding
web           http and https, within limits of size, time and place
html          the text of a web page
mentions      `@path` in a typed line
content       the question and its attachments as the content of one message
image         made smaller where a provider's limit asks for it
pdf           its text, for models that take no PDF
summary       what the user is told of it
"""

MAX_BYTES = 256 * 1024 * 1024
"""The largest file or pipe that is read, in bytes: more than any model takes, and it must fit the memory."""
STDIN = "-"
"""What names standard input on the command line."""
