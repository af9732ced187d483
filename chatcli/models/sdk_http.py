"""`httpx`: the HTTP library that OpenAI's SDK takes clients of."""

import openai

if hasattr(openai, "DefaultAsyncHttpx2Client"):
    import httpx2 as httpx
    from openai import DefaultAsyncHttpx2Client as DefaultAsyncClient
else:  # before 2.47; the names are the same
    import httpx  # type: ignore[no-redef]
    from openai import DefaultAsyncHttpxClient as DefaultAsyncClient  # type: ignore[assignment]

__all__ = ["DefaultAsyncClient", "httpx"]
