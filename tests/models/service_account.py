"""A Google service account, which logs in at a server of the test's."""

import json
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def write_service_account(token_uri: str) -> Path:
    """Write the file of an account that gets its tokens from `token_uri` into the current folder."""
    account = {
        "type": "service_account",
        "project_id": "fake-project",
        "private_key_id": "1",
        "private_key": _private_key(),
        "client_email": "chat@fake-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path = Path("account.json").resolve()
    path.write_text(json.dumps(account))
    return path


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
