"""The scenarios of the public conformance suite of MCP: all pass but those that `FAILING` and `NOT_APPLYING` list."""

import asyncio
import os
import re
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.e2e.program import EXECUTABLE, Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.npm import installed

SUITE, NODE = "@modelcontextprotocol/conformance", "node"
VERSION, NODE_VERSION = "0.2.0-alpha.12", "22.23.3"  # the first with 2026-07-28; it needs a newer node than Debian has
CLIENT = str(Path(__file__).parents[1] / "fakes" / "conformance_client.py")
SECONDS = 120
SCENARIOS = (
    "initialize",
    "tools_call",
    "elicitation-sep1034-client-defaults",
    "sse-retry",
    "request-metadata",
    "auth/metadata-default",
    "auth/metadata-var1",
    "auth/metadata-var2",
    "auth/metadata-var3",
    "auth/scope-from-www-authenticate",
    "auth/scope-from-scopes-supported",
    "auth/scope-omitted-when-undefined",
    "auth/scope-retry-limit",
    "auth/basic-cimd",
    "auth/pre-registration",
    "auth/token-endpoint-auth-basic",
    "auth/token-endpoint-auth-post",
    "auth/token-endpoint-auth-none",
    "auth/2025-03-26-oauth-metadata-backcompat",
    "auth/2025-03-26-oauth-endpoint-fallback",
    "auth/resource-mismatch",
    "auth/offline-access-scope",
    "auth/offline-access-not-supported",
    "auth/authorization-server-migration",
    "auth/iss-supported",
    "auth/iss-not-advertised",
    "auth/iss-supported-missing",
    "auth/iss-wrong-issuer",
    "auth/iss-unexpected",
    "auth/iss-normalized",
    "auth/metadata-issuer-mismatch",
    "sep-2322-client-request-state",
    "http-standard-headers",
    "http-custom-headers",
    "http-invalid-tool-headers",
    "json-schema-ref-no-deref",
    "json-schema-2020-12-preservation",
    # Skills, which this client does not fetch.
    "sep-2640-client-no-prefetch",
    "sep-2640-client-verify-digest",
    "sep-2640-client-verify-size",
    "sep-2640-client-verify-frontmatter",
)
FAILING = {
    "auth/scope-step-up": "a session never logs in by itself: the user does, and gets the scopes of the first login",
    "auth/client-credentials-jwt": "a user logs in, not a machine",
    "auth/client-credentials-basic": "a user logs in, not a machine",
    "auth/wif-jwt-bearer": "a user logs in, not a machine",
    "auth/enterprise-managed-authorization": "an extension for companies' identity providers",
    "auth/dpop": "an extension: tokens are not bound to a key",
    "auth/dpop-nonce": "an extension: tokens are not bound to a key",
}
SERVER_SCENARIOS = {
    "server-initialize",
    "server-session-lifecycle",
    "ping",
    "completion-complete",
    "tools-list",
    "server-sse-multiple-streams",
    "resources-list",
    "sep-2164-resource-not-found",
    "prompts-list",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
    "input-required-result-missing-input-response",
    "input-required-result-unsupported-methods",
    "input-required-result-ignore-extra-params",
    "input-required-result-validate-input",
    # Skills, which this server does not have.
    "sep-2640-skills-directory",
    "sep-2640-skills-enumeration",
    "sep-2640-skills-manifest",
}
NOT_APPLYING = {
    "they need tools of the suite": (
        "tools-call-simple-text tools-call-image tools-call-audio tools-call-embedded-resource "
        "tools-call-mixed-content tools-call-error tools-call-with-progress tools-call-with-logging "
        "tools-call-sampling tools-call-elicitation json-schema-2020-12 elicitation-sep1034-defaults "
        "elicitation-sep1330-enums server-sse-polling http-custom-header-server-validation"
    ),
    "24 of 28 checks pass, the others need a tool of the suite": "server-stateless",
    "they need resources of the suite": "resources-read-text resources-read-binary resources-templates-read",
    "they need prompts of the suite": (
        "prompts-get-simple prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image"
    ),
    "this server does not offer it: no log, and no subscription to one resource": (
        "logging-set-level resources-subscribe resources-unsubscribe"
    ),
    "this server asks its clients nothing": (
        "input-required-result-basic-elicitation input-required-result-basic-sampling "
        "input-required-result-basic-list-roots input-required-result-request-state "
        "input-required-result-multiple-input-requests input-required-result-multi-round "
        "input-required-result-non-tool-request input-required-result-result-type "
        "input-required-result-tampered-state input-required-result-capability-check"
    ),
    "an extension: this server has no tasks": (
        "tasks-lifecycle tasks-capability-negotiation tasks-wire-fields tasks-request-state-removal "
        "tasks-mrtr-input tasks-request-headers tasks-dispatch-and-envelope tasks-status-notifications "
        "tasks-required-task-error tasks-mrtr-composition"
    ),
}
"""The server's scenarios that don't apply, by the reason."""
TOKEN = "token-of-the-conformance-suite"

pytestmark = [pytest.mark.e2e, pytest.mark.weekly]


@pytest.fixture(scope="module")
def modules() -> Path:
    return installed(f"{SUITE}@{VERSION}", f"{NODE}@{NODE_VERSION}")


@pytest.mark.parametrize(
    "scenario",
    [
        *SCENARIOS,
        *(pytest.param(name, marks=pytest.mark.xfail(reason=why, strict=True)) for name, why in FAILING.items()),
    ],
)
def test_a_scenario_passes(modules: Path, tmp_path: Path, scenario: str) -> None:
    node = modules / "node" / "bin"
    environment = {
        **os.environ,
        "PATH": f"{node}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    suite = str(modules / SUITE / "dist" / "index.js")
    options = ["--command", f"{sys.executable} {CLIENT}", "--scenario", scenario]
    done = subprocess.run(
        [str(node / "node"), suite, "client", *options],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert "OVERALL: PASSED" in done.stdout + done.stderr, (done.stdout + done.stderr)[-4000:]


def test_every_scenario_of_the_suite_is_listed(modules: Path) -> None:
    done = subprocess.run(
        [modules / "node" / "bin" / "node", modules / SUITE / "dist" / "index.js", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    listed = done.stdout.partition("Client scenarios")[2].partition("\n\n")[0].splitlines()
    assert {line.split()[1] for line in listed if line.strip().startswith("- ")} == {*SCENARIOS, *FAILING}


def test_the_scenarios_for_servers_pass(modules: Path, chat: Chat, fake: FakeOpenAI) -> None:
    done = asyncio.run(asyncio.wait_for(run_against_the_server(modules, chat), 4 * SECONDS))
    found = re.findall(r"^(\S) (\S+): (\d+) passed, \d+ failed", done, re.MULTILINE)
    others = {name for names in NOT_APPLYING.values() for name in names.split()}
    assert {name for _, name, _ in found} == SERVER_SCENARIOS | others, done[-4000:]
    assert {name for mark, name, checks in found if mark == "✓" and checks != "0"} == SERVER_SCENARIOS, done[-4000:]


async def run_against_the_server(modules: Path, chat: Chat) -> str:
    """Return what the suite says about `chat mcp --http`."""
    env = {**chat.home.env, "CHATCLI_MCP_TOKEN": TOKEN}
    options = ("-m", "openai:gpt-fake", "mcp", "--http", "0")
    server = await asyncio.create_subprocess_exec(
        EXECUTABLE, *options, env=env, cwd=chat.home.work, stderr=subprocess.PIPE
    )
    assert server.stderr is not None
    try:
        address = (await server.stderr.readline()).decode()
        port = int(address.rpartition(":")[2].partition("/")[0])
        async with await asyncio.start_server(lambda *ends: add_token(port, *ends), "127.0.0.1", 0) as proxy:
            url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/mcp"
            suite = await asyncio.create_subprocess_exec(
                modules / "node" / "bin" / "node",
                modules / SUITE / "dist" / "index.js",
                *("server", "--suite", "all", "--url", url),
                stdout=subprocess.PIPE,
            )
            return (await suite.communicate())[0].decode()
    finally:
        server.terminate()
        await server.communicate()


async def add_token(port: int, reader: StreamReader, writer: StreamWriter) -> None:
    """Send a request on to the server at `port`, with the token: the suite can't."""
    own = writer.get_extra_info("sockname")[1]
    head = (await reader.readuntil(b"\r\n\r\n")).replace(f":{own}".encode(), f":{port}".encode())
    line, _, fields = re.sub(rb"(?im)^connection:.*\r\n", b"", head).partition(b"\r\n")
    answers, requests = await asyncio.open_connection("127.0.0.1", port)
    added = f"Authorization: Bearer {TOKEN}\r\nConnection: close\r\n"
    requests.write(line + b"\r\n" + added.encode() + fields)
    await asyncio.gather(copy(reader, requests), copy(answers, writer))


async def copy(reader: StreamReader, writer: StreamWriter) -> None:
    """Send on what comes, until its end."""
    with closing(writer), suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
