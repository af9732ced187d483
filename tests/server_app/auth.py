"""Access to the tests' server: without a key, or with the right one."""

from langgraph_sdk import Auth

KEY = b"lg-test-0c9e71"

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> str:
    key = headers.get(b"x-api-key")
    if key is not None and key != KEY:
        raise Auth.exceptions.HTTPException(status_code=401, detail="wrong key")
    return "somebody" if key is None else "key-holder"
