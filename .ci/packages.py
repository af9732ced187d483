"""Write what other installers need of a release: a Homebrew formula, an AUR PKGBUILD, the entry of the ACP registry.

Usage: .ci/packages.py THREADCHAT-X.Y.Z.tar.gz FOLDER

All come from pyproject.toml and the source distribution, whose constraints.txt pins every package that they install.
"""

import hashlib
import json
import sys
import tomllib
from pathlib import Path
from string import Template

_FORMULA = Template("""\
class Threadchat < Formula
  desc "$about"
  homepage "$repository"
  url "$url"
  sha256 "$digest"
  license "$license"

  depends_on "python@3.13"

  def install
    system "python3.13", "-m", "venv", libexec
    system libexec/"bin/pip", "install", "--constraint", "constraints.txt", "#{buildpath}[local,images,keyring]"
    bin.install_symlink libexec/"bin/chat"
    man1.install_symlink libexec/"share/man/man1/chat.1"
    bash_completion.install_symlink libexec/"share/bash-completion/completions/chat"
    zsh_completion.install_symlink libexec/"share/zsh/site-functions/_chat"
    fish_completion.install_symlink libexec/"share/fish/vendor_completions.d/chat.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/chat --version")
  end
end
""")

_PKGBUILD = Template("""\
pkgname=threadchat
pkgver=$version
pkgrel=1
pkgdesc="$about"
arch=(x86_64 aarch64)
url="$repository"
license=($license)
depends=(python gcc-libs)
options=(!strip)
source=("$url")
sha256sums=($digest)

package() {
  cd "$$pkgname-$$pkgver"
  local home="$$pkgdir/opt/threadchat"
  python -m venv "$$home"
  "$$home/bin/pip" install --constraint constraints.txt ".[local,images,keyring]"
  # The environment is used without the folder that it was built in.
  grep -rlIF "$$pkgdir" "$$home/bin" "$$home/pyvenv.cfg" | xargs sed -i "s#$$pkgdir##g"
  find "$$home" -name __pycache__ -prune -exec rm -r {} +
  install -d "$$pkgdir/usr/bin"
  ln -s /opt/threadchat/bin/chat "$$pkgdir/usr/bin/chat"
  cp -r "$$home/share" "$$pkgdir/usr/share"
  install -Dm644 LICENSE "$$pkgdir/usr/share/licenses/threadchat/LICENSE"
}
""")

# A prompt, in the size and the colour that the ACP registry asks for.
_ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">
  <path d="M3 3.5 7.5 8 3 12.5M9 12.5h4.5" fill="none" stroke="currentColor" stroke-width="1.8"/>
</svg>
"""


def main(distribution: Path, folder: Path) -> None:
    """Write the files for the source distribution `distribution` into `folder`."""
    configuration = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))
    project = configuration["project"]
    repository = configuration["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    version = distribution.name.removesuffix(".tar.gz").rpartition("-")[2]
    values = {
        "about": project["description"].rstrip("."),
        "digest": hashlib.sha256(distribution.read_bytes()).hexdigest(),
        "license": project["license"],
        "repository": repository,
        "url": f"{repository}/releases/download/v{version}/{distribution.name}",
        "version": version,
    }
    agent = {
        "id": project["name"],
        "name": "chat",
        "version": version,
        "description": project["description"],
        "repository": repository,
        "authors": [author["name"] for author in project["authors"]],
        "license": project["license"],
        "license_url": f"{repository}/blob/v{version}/LICENSE",
        "distribution": {"uvx": {"package": f"{project['name']}[acp]=={version}", "args": ["acp"]}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "threadchat.rb").write_text(_FORMULA.substitute(values), "utf-8")
    (folder / "PKGBUILD").write_text(_PKGBUILD.substitute(values), "utf-8")
    (folder / "agent.json").write_text(json.dumps(agent, indent=2) + "\n", "utf-8")
    (folder / "icon.svg").write_text(_ICON, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
