"""The client scenarios of the public conformance suite of MCP: all of them pass but those of `FAILING`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    "auth/basic-cimd": "a client ID metadata document needs a web site of chat, which has none: it registers",
    "auth/scope-step-up": "a session never logs in by itself: the user does, and gets the scopes of the first login",
    "auth/pre-registration": "there is no setting for a client that was registered by hand",
    "auth/client-credentials-jwt": "a user logs in, not a machine",
    "auth/client-credentials-basic": "a user logs in, not a machine",
    "auth/wif-jwt-bearer": "a user logs in, not a machine",
    "auth/enterprise-managed-authorization": "an extension for companies' identity providers",
    "auth/dpop": "an extension: tokens are not bound to a key",
    "auth/dpop-nonce": "an extension: tokens are not bound to a key",
}

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
