"""What langchain does not pass on to IBM's client."""


def limit_silence(seconds: float) -> None:
    """Let clients of IBM's that are made from now on wait `seconds` at most for a server's next words.

    By itself it waits for half an hour.
    """
    from httpx import Timeout
    from ibm_watsonx_ai.utils.utils import DEFAULT_HTTP_CLIENT_CONFIG

    DEFAULT_HTTP_CLIENT_CONFIG.timeout = Timeout(seconds)
