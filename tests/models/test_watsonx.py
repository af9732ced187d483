"""IBM's real client, with IBM Software Hub and, behind a proxy that takes its place, IBM's cloud."""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chatcli.config.settings import Settings
from chatcli.errors import ChatcliError, ExitCode
from chatcli.models.build import build_model
from chatcli.models.errors import translate
from chatcli.models.names import ModelName
from tests.models.test_providers import FAILURES

pytest.importorskip("langchain_ibm")
pytestmark = pytest.mark.filterwarnings("ignore")

KEY = "key-7d1f0a5e3c9b4286"
STREAM = "/ml/v1/text/chat_stream"
CLOUD = ("iam.cloud.ibm.com", "us-south.ml.cloud.ibm.com", "api.dataplatform.cloud.ibm.com")
"""The hosts of IBM's cloud: its login, its models, its projects."""


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


TOKEN = f"{_part({'alg': 'none'})}.{_part({'iat': int(time.time()), 'exp': int(time.time()) + 3600})}.x"
REPLIES: dict[str, object] = {
    "/identity/token": {"access_token": TOKEN},
    "/ml/wml_services/v2/version": {"version": "5.1.0"},
    "/icp4d-api/v1/authorize": {"token": TOKEN},
    "/v2/projects/fake-project": {"entity": {"storage": {"type": "assetfiles"}}},
    "/ml/v1/foundation_model_specs": {"resources": [{"model_id": "ibm/fake"}]},
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived."""

    host: str
    path: str
    authorization: str
    body: str


@dataclass(frozen=True, slots=True)
class FakeIBM:
    """A server that is any of IBM's hosts, and what it was asked."""

    port: int
    requests: list[Request]
    failures: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    """What to answer the next questions with."""
    answers: Event = field(default_factory=Event)
    """Cleared, questions wait for their answers."""
    packed_twice: list[str] = field(default_factory=list)
    """The paths whose answers are said to be compressed twice."""


@pytest.fixture
def ibm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIBM]:
    requests: list[Request] = []
    failures: list[tuple[int, dict[str, object]]] = []
    packed_twice: list[str] = []
    answers = Event()
    answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            requests.append(Request(self.headers["host"], path, self.headers.get("authorization", ""), body))
            if path == STREAM:
                answers.wait()
            status, data = 200, _answer() if path == STREAM else json.dumps(REPLIES[path]).encode()
            if path == STREAM and failures:
                status, error = failures[0]
                data = json.dumps(error).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if path.endswith("stream") else "application/json")
            self.send_header("Content-Length", str(len(data)))
            if path in packed_twice:
                self.send_header("Content-Encoding", "gzip, gzip")
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that it has there
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _write_certificate(tmp_path / "server.pem")
    context.load_cert_chain(certificate)
    with _serving(Handler, context) as port:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("WATSONX_API_KEY", KEY)
        monkeypatch.setenv("WATSONX_PROJECT_ID", "fake-project")
        yield FakeIBM(port, requests, failures, answers, packed_twice)
        answers.set()


@pytest.fixture
def hub(ibm: FakeIBM, monkeypatch: pytest.MonkeyPatch) -> FakeIBM:
    """Give it as IBM Software Hub."""
    monkeypatch.setenv("WATSONX_URL", f"https://127.0.0.1:{ibm.port}")
    monkeypatch.setenv("WATSONX_USERNAME", "me")
    monkeypatch.setenv("WATSONX_INSTANCE_ID", "openshift")
    return ibm


@pytest.fixture
def cloud(ibm: FakeIBM, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIBM]:
    """Give it as IBM's cloud: a proxy that leads to it, whichever host is asked for."""

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            with socket.create_connection(("127.0.0.1", ibm.port)) as server:
                self.send_response(200)
                self.end_headers()
                other = {self.connection: server, server: self.connection}
                while True:
                    for ready in select.select(list(other), [], [])[0]:
                        if not (data := ready.recv(65536)):
                            return
                        other[ready].sendall(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that it has there
            pass

    with _serving(Proxy) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WATSONX_URL", "https://us-south.ml.cloud.ibm.com")
        yield ibm


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def _write_certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    hosts = [x509.DNSName(host) for host in CLOUD]
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *hosts])
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


def ask() -> str:
    model = build_model(ModelName("ibm", "ibm/fake"), Settings.load(), lambda event: None)

    async def stream() -> str:
        return "".join([str(chunk.text) async for chunk in model.client.astream("Hi! I'm Bob.")])

    return asyncio.run(stream())


def test_a_turn_is_asked_with_the_token_of_the_login(hub: FakeIBM) -> None:
    assert ask() == "Ahoy, Bob!"
    last = hub.requests[-1]
    assert (last.path, last.authorization) == ("/ml/v1/text/chat_stream", f"Bearer {TOKEN}")


def test_in_the_cloud_the_key_goes_to_the_login_alone(cloud: FakeIBM) -> None:
    assert ask() == "Ahoy, Bob!"
    assert {request.host for request in cloud.requests} <= set(CLOUD)
    (login,) = [request for request in cloud.requests if KEY in str(request)]
    assert (login.host, login.path) == ("iam.cloud.ibm.com", "/identity/token")
    last = cloud.requests[-1]
    assert (last.host, last.path) == ("us-south.ml.cloud.ibm.com", "/ml/v1/text/chat_stream")
    assert last.authorization == f"Bearer {TOKEN}"


def failed_ask() -> ChatcliError:
    """Return the error of a question that fails."""
    model = build_model(ModelName("ibm", "ibm/fake"), Settings.load(), lambda event: None)

    async def ask() -> None:
        async for _ in model.client.astream("Hi! I'm Bob."):
            pass

    with pytest.raises(Exception, match=r"^") as failed:
        asyncio.run(ask())
    return translate(failed.value, model)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_has_its_exit_code_and_hides_the_key(hub: FakeIBM, failure: str) -> None:
    status, body, code = FAILURES[failure]
    hub.failures.append((status, {"errors": [{"code": "failed", **body["error"]}], "status_code": status}))
    error = failed_ask()
    assert error.exit_code == code, error.message
    assert KEY not in error.message


def test_a_silent_server_is_given_up_after_the_timeout(hub: FakeIBM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATCLI_TIMEOUT", "0.5")
    hub.answers.clear()
    error = failed_ask()
    assert error.exit_code == ExitCode.TEMPORARY, error.message


def test_ibms_answers_have_limits(hub: FakeIBM) -> None:
    hub.packed_twice.append(STREAM)
    error = failed_ask()
    assert error.exit_code == ExitCode.REFUSED, error.message
    assert "compressed by gzip, gzip" in error.message


def test_ibms_login_has_limits(hub: FakeIBM) -> None:
    hub.packed_twice.append("/icp4d-api/v1/authorize")
    with pytest.raises(ChatcliError, match=r"compressed by gzip, gzip"):
        build_model(ModelName("ibm", "ibm/fake"), Settings.load(), lambda event: None)


def test_a_login_that_fails_is_a_failure_of_the_network(hub: FakeIBM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATSONX_URL", "https://127.0.0.1:9")
    with pytest.raises(ChatcliError) as failed:
        build_model(ModelName("ibm", "ibm/fake"), Settings.load(), lambda event: None)
    assert failed.value.exit_code == ExitCode.TEMPORARY
    assert KEY not in failed.value.message


def test_a_model_that_is_not_there_is_refused(hub: FakeIBM) -> None:
    with pytest.raises(ChatcliError) as failed:
        build_model(ModelName("ibm", "ibm/none"), Settings.load(), lambda event: None)
    assert failed.value.exit_code == ExitCode.REFUSED
    assert "ibm/none" in failed.value.message
