"""A builder's program in three lines: this terminal on a graph of their own."""

import sys

import chatcli
from tests.sample_graphs.small import builder

sys.exit(chatcli.run(builder, name="echo"))
