"""File locks that the kernel releases when the process that holds them ends in any way."""

import sys

if sys.platform != "win32":
    pass
