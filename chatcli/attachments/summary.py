"""What the user is told of a file that goes along with a question."""

from chatcli.attachments.attachment import Attachment
from chatcli.attachments.image import pixels
from chatcli.attachments.pdf import count_pages
from chatcli.events import size


def summary(attachment: Attachment) -> str:
    """Return one line about `attachment`, which can be read as what it is: its name, its size and what it holds.

    Raises:
        UsageError: It can't be read.

    """
    name, data = attachment.name, attachment.data
    match attachment.kind:
        case "image":
            holds = "{} x {} pixels".format(*pixels(name, data))
        case "pdf":
            pages = count_pages(name, data)
            holds = f"{pages} page{'' if pages == 1 else 's'}"
        case "text":
            holds = f"about {max(len(attachment.text) // 4, 1):,} tokens"  # as the context's approximation counts
    return f"attached {name}: {size(attachment.size)}, {holds}"
