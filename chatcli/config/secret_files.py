"""What is not read for a model: files whose names suggest secrets, and what is no regular file.

It imports only the standard library, because the search for a pattern runs as a separate program (`tools/grep.py`).
"""

import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from fnmatch import translate
from functools import cache

_PRIVATE_FOLDERS = frozenset(
    (
        *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".gcloud", ".oci", ".vault", ".password-store"),
        *("gcloud", ".terraform.d", ".chef", ".bluemix", ".digitalocean", ".fly", ".heroku", ".snowflake"),
        *(".databricks", ".1password", ".op", ".pki", "keychains", "keyrings", "kwalletd"),
        *(".bitcoin", ".ethereum", ".electrum", ".monero", ".solana"),
        # Browsers and mail programs: cookies, logins, history.
        *(".mozilla", ".thunderbird", "google-chrome", "google-chrome-beta", "bravesoftware", "brave-browser"),
        *("microsoft-edge", "librewolf", ".librewolf", ".zen", ".tor-browser"),
    )
)
"""Folders of keys, tokens and passwords: every file in them is secret, and so is a file of that name."""
_PATTERNS = (
    # Environments and credentials of programs.
    *(".env*", "*.env", "*.env.*", "*credentials*", "secret", "secrets", "secret.*", "secrets.*", "*.secret"),
    *("*.secrets", ".secret*", "client_secret*", "client-secret*", "*service-account*", "*service_account*"),
    *("password", "passwords", "password.*", "passwords.*", "*passwd", "shadow", "gshadow", "auth.json", "*.token"),
    *(".netrc", "_netrc", ".authinfo*", ".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf", ".npmrc", ".yarnrc*"),
    *(".pypirc", ".gem", ".vault-token", ".dockercfg", ".dockerconfigjson", "kubeconfig*", "*.kubeconfig"),
    *(".s3cfg", ".boto", ".terraformrc", "terraform.rc", "*.tfstate", "*.tfvars", "*.tfvars.json", "rclone.conf"),
    *(".msmtprc", ".fetchmailrc", ".offlineimaprc", ".gitcookies", ".curlrc", ".wgetrc", ".condarc", "wp-config.php"),
    *("local.settings.json", "filezilla.xml", "sitemanager.xml", "recentservers.xml", "key.txt", "keys.txt"),
    *("private[-_]key*", "privatekey*", "recovery[-_]code*", "recovery[-_]key*", "backup[-_]code*", "2fa[-_]*"),
    # Files of browsers.
    *("cookies", "logins.json", "key[34].db", "cert[89].db", "signons.sqlite", "login data*", "web data*"),
    *("local state", "places.sqlite", "formhistory.sqlite"),
    # Keys, and stores of keys.
    *("*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.keystore", "*.kdb", "*.kdbx", "*.gpg", "*.ovpn"),
    *("*.keychain", "*.keychain-db", "*.agekey", "secring.*", "ssh_host_*_key", "wallet.dat", "*.wallet", "*.kwallet"),
    *("*.pkcs12", "*.pvk", "*.jceks", "*.bcfks", "*.pgp", "*.psafe3", "*.1pif", "*.opvault", "*.enpass"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "id_xmss*"),
    # Input of shells and database clients, which may contain passwords.
    *("*_history", "*.history", ".lesshst", ".viminfo"),
)
_DATA = (
    r"(?:\.(?:txt|text|json|jsonl|ya?ml|toml|ini|cfg|conf|config|properties|csv|tsv|xml|plist|dat|data|bin|b64|db"
    r"|sqlite3?|md|rtf|docx?|odt|xlsx?|ods|pdf|png|jpe?g|enc|zip|prod|production|staging|dev|test|local))*\Z"
)
"""The endings of data; what ends otherwise, such as `token.py`, is code that handles secrets."""
_WORDS = (
    # Somewhere in the name.
    r"(?s:(?:.*[-_. ])?(?:(?:api|access|secret|signing|encryption|master|deploy|private)[-_ ]?keys?"
    r"|(?:auth|access|refresh|bearer|bot|api)[-_ ]?tokens?|(?:recovery|backup|2fa)[-_ ]?codes?|client[-_ ]?secrets?"
    rf"|passphrases?|passcodes?|seed[-_ ]?phrases?|mnemonics?)(?:[-_ ][^.]*)?{_DATA})",
    # At its end.
    rf"(?s:(?:.*[-_. ])?(?:tokens?|secrets?|passw(?:or)?ds?|pwd|credentials?|creds|cookies?|wallet)[-_ ]?\d*{_DATA})",
)
"""Patterns of words that name a secret in the name of a file of data."""
_TEMPLATES = frozenset(f".env.{kind}" for kind in ("example", "sample", "template", "dist"))
"""What a project shows of its `.env`, without the secrets."""
_COPY = re.compile(r"(?:~|#|\.(?:bak|backup|copy|old|orig|save|tmp|sw[a-p]|\d+))\Z")
"""The end of the name of a copy, as editors and people write it: `server.key~`, `server.key.bak`, `.server.key.swp`."""


def is_secret_path(parts: Iterable[str]) -> bool:
    """Return whether a name in `parts`, of a folder or a file, is one that is likely to hold a secret."""
    return any(_is_secret_name(part) for part in parts)


def is_in_private_folder(parts: Iterable[str]) -> bool:
    """Return whether one of `parts` is a folder that a program keeps for secrets alone, such as `.ssh`."""
    return any(_plain(part) in _PRIVATE_FOLDERS for part in parts)


def open_regular(path: str, flags: int) -> int:
    """Open `path` if it is a regular file and not a link; an `opener` for `open` that never blocks.

    To open a pipe would wait for a writer, and to open a device may have any effect. Raises `OSError` if it is not a
    regular file, or can't be opened.
    """
    kind = os.lstat(path).st_mode
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW) if stat.S_ISREG(kind) else -1
    if descriptor < 0 or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        if descriptor >= 0:  # the file was replaced in the meantime
            os.close(descriptor)
        raise OSError(0, "it is not a regular file", path)
    return descriptor


@cache
def _secret() -> re.Pattern[str]:
    """Return the pattern of secret names: made at its first use, for 2 ms, since most starts read no such file."""
    return re.compile("|".join((*map(translate, (*_PATTERNS, *_PRIVATE_FOLDERS)), *_WORDS)))


def _is_secret_name(name: str) -> bool:
    name = _plain(name)
    while name and name not in _TEMPLATES:
        if _secret().match(name) or _secret().match(name.lstrip(".#")):
            return True
        name, cut = _COPY.subn("", name)
        if not cut:
            break
    return False


def _plain(name: str) -> str:
    """Return `name` without the differences that some file systems, or the eye, ignore.

    These are case, the width of letters, invisible characters, and spaces and dots at the end.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in folded if unicodedata.category(letter) != "Cf").strip().rstrip(". ")
