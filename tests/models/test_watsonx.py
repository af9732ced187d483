"""IBM's real client and a server of its own kind, IBM Software Hub: in IBM's cloud it logs in at a fixed address."""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chatcli.errors import ChatcliError, ExitCode
from chatcli.models.names import ModelName
from chatcli.models.registry import build_model
from chatcli.settings import Settings

pytest.importorskip("langchain_ibm")
pytestmark = pytest.mark.filterwarnings("ignore")

KEY = "key-7d1f0a5e3c9b4286"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


TOKEN = f"{_part({'alg': 'none'})}.{_part({'iat': int(time.time()), 'exp': int(time.time()) + 3600})}.x"
REPLIES: dict[str, object] = {
    "/ml/wml_services/v2/version": {"version": "5.1.0"},
    "/icp4d-api/v1/authorize": {"token": TOKEN},
    "/v2/projects/fake-project": {"entity": {"storage": {"type": "assetfiles"}}},
    "/ml/v1/foundation_model_specs": {"resources": [{"model_id": "ibm/fake"}]},
}


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Run the server, and give the path and the authorization of each request."""
    seen: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            self.rfile.read(int(self.headers.get("content-length") or 0))
            seen.append((path, self.headers.get("authorization", "")))
            data = _answer() if path == "/ml/v1/text/chat_stream" else json.dumps(REPLIES[path]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream" if path.endswith("stream") else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that it has there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _write_certificate(tmp_path / "server.pem")
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for name, value in {"URL": f"https://127.0.0.1:{server.server_port}", "API_KEY": KEY, "USERNAME": "me"}.items():
        monkeypatch.setenv(f"WATSONX_{name}", value)
    monkeypatch.setenv("WATSONX_PROJECT_ID", "fake-project")
    monkeypatch.setenv("WATSONX_INSTANCE_ID", "openshift")
    yield seen
    server.shutdown()
    server.server_close()
    thread.join()


def _write_certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


def _answer() -> bytes:
    lines = []
    for word, reason in (("Ahoy, ", None), ("Bob!", None), ("", "stop")):
        choice = {"index": 0, "finish_reason": reason, "delta": {"role": "assistant", "content": word}}
        usage = {"usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}} if reason else {}
        chunk = {"id": "1", "model_id": "ibm/fake", "created": 1, "choices": [choice], **usage}
        lines.append(f"id: 1\nevent: message\ndata: {json.dumps(chunk)}\n\n")
    return "".join(lines).encode()


def test_a_turn_is_asked_with_the_token_of_the_login(requests: list[tuple[str, str]]) -> None:
    model = build_model(ModelName("ibm", "ibm/fake"), Settings.load(), lambda event: None)

    async def ask() -> str:
        return "".join([str(chunk.text) async for chunk in model.client.astream("Hi! I'm Bob.")])

    assert asyncio.run(ask()) == "Ahoy, Bob!"
    assert requests[-1] == ("/ml/v1/text/chat_stream", f"Bearer {TOKEN}")


def test_a_login_that_fails_is_a_failure_of_the_network(
    requests: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATSONX_URL", "https://127.0.0.1:9")
    with pytest.raises(ChatcliError) as failed:
        build_model(ModelName("ibm", "ibm/fake"), Settings.load(), lambda event: None)
    assert failed.value.exit_code == ExitCode.TEMPORARY
    assert KEY not in failed.value.message


def test_a_model_that_is_not_there_is_refused(requests: list[tuple[str, str]]) -> None:
    with pytest.raises(ChatcliError) as failed:
        build_model(ModelName("ibm", "ibm/none"), Settings.load(), lambda event: None)
    assert failed.value.exit_code == ExitCode.REFUSED
    assert "ibm/none" in failed.value.message
