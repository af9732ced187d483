"""The providers of models: one table of what differs between them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import ceil
from typing import Any

# To add a provider, add a row to `_PROVIDERS` below, and a case to tests/models/test_providers.py.
# A provider that speaks OpenAI's protocol needs an `openai_url` and no package.
# One that langchain's `init_chat_model` knows has the prefix that it has there, and its packages in an extra of
# pyproject.toml. Only if its client needs more than a row can say, add a function to `models/hosted.py`.
# OpenAI, LM Studio, Langflow and the local model have their own modules in `models/`.

OPENAI = "openai"
BEDROCK = "bedrock_converse"
DATABRICKS = "databricks"
IBM = "ibm"
LANGFLOW = "langflow"
LANGFLOW_URL = "http://localhost:7860"
LMSTUDIO = "lmstudio"
LOCAL = "local"
OLLAMA = "ollama"


@dataclass(frozen=True, slots=True)
class Provider:
    """What differs between providers."""

    prefix: str
    """Its name before the colon of `provider:model`."""
    title: str
    package: str = ""
    """The distribution that holds its client; empty if the base installation has it."""
    key_variables: tuple[str, ...] = ()
    """The environment variables of its key, the usual one first; none if it takes no key, or finds credentials of
    another kind itself."""
    url_variables: tuple[str, ...] = ()
    """The environment variables that point its client at another server."""
    other_names: tuple[str, ...] = ()
    host: str = ""
    """The server that its client asks by itself; empty if `openai_url` says it, or if it depends on the account."""
    default_model: str = ""
    """The model for the prefix alone, and for its key if nothing is chosen; empty if models are the user's own
    deployments."""
    price_list: str = ""
    """Its name in genai-prices."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The client's names for options that it does not call by the usual name; an empty name means that it has no
    such option. A base URL without a name goes into the first of `url_variables`."""
    window_option: str = ""
    """The client's name for the model's window, if the server silently cuts what is longer."""
    timeout: Callable[[float], object] = float
    """Converts seconds into what its client takes as a timeout."""
    known_as: str = ""
    """The name of its client in `init_chat_model`, if that is not the prefix."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that its client always gets."""
    from_environment: Mapping[str, str] = field(default_factory=dict)
    """Arguments that its client gets from environment variables, if these are set."""
    needs: tuple[str, ...] = ()
    """Environment variables that must be set besides the key."""
    key_optional: bool = False
    """Whether its server may work without a key."""
    openai_url: str = ""
    """The base URL of its server, if chat asks it in OpenAI's protocol; empty if that depends on the user's account."""
    openai_path: str = ""
    """What follows that base URL, or one that the user names, unless it ends in it."""
    speaks_openai: bool = False
    """Whether its server has OpenAI's protocol too, for where its package is not installed."""
    own_login: tuple[str, ...] = ()
    """The environment variables in which its client itself looks for credentials; "*" for other ways."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings that its client takes only from environment variables, set if the user does not set them: that it
    sends a request once, and sends no telemetry."""
    no_retries: Mapping[str, Any] = field(default_factory=lambda: {"max_retries": 0})
    """The client's arguments that make it send a request once; `graphs.chat.receive` sends it again."""

    @property
    def extra(self) -> str:
        """The extra of chatcli that installs its client."""
        return "" if not self.package else self.prefix.replace("_", "-")

    @property
    def takes_openai(self) -> bool:
        """Whether chat asks it by the client for OpenAI's protocol."""
        return bool(self.openai_url or self.openai_path)

    @property
    def keyless(self) -> bool:
        """Whether it asks for no key: it needs none, or uses the credentials of its platform."""
        return not self.key_variables

    @property
    def requirements(self) -> str:
        """What must be set for it, as a remedy."""
        variables = (*self.key_variables[:1], *self.needs)
        return f"{self.title} needs: {', '.join(variables)}." if variables else "See `chat help providers`."

    @property
    def is_installed(self) -> bool:
        """Whether a client for it is installed."""
        return self.speaks_openai or self.has_package

    @property
    def has_package(self) -> bool:
        """Whether the packages of its own client are installed; this imports none of them."""
        if not self.package:
            return True
        return all(find_spec(module) is not None for module in {"langchain", self.package.replace("-", "_")})


_PROVIDERS = (
    Provider(
        OPENAI,
        "OpenAI",
        key_variables=("OPENAI_API_KEY",),
        host="api.openai.com",
        default_model="gpt-5-mini",
        price_list="openai",
    ),
    Provider(
        "anthropic",
        "Anthropic",
        "langchain-anthropic",
        ("ANTHROPIC_API_KEY",),
        ("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"),
        other_names=("claude",),
        host="api.anthropic.com",
        default_model="claude-sonnet-4-5",
        price_list="anthropic",
    ),
    Provider(
        "google_genai",
        "Google Gemini",
        "langchain-google-genai",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        ("GOOGLE_GEMINI_BASE_URL",),
        other_names=("google", "gemini"),
        host="generativelanguage.googleapis.com",
        default_model="gemini-2.5-flash",
        price_list="google",
        no_retries={"max_retries": 1},  # counts the first attempt
    ),
    Provider(
        "azure_openai",
        "Azure OpenAI",
        "langchain",
        ("AZURE_OPENAI_API_KEY",),
        ("AZURE_OPENAI_ENDPOINT",),
        other_names=("azure",),
        price_list="azure",
        options={"base_url": "azure_endpoint"},
        needs=("OPENAI_API_VERSION",),
    ),
    Provider(
        "google_vertexai",
        "Google Vertex AI",
        "langchain-google-genai",  # its own package is deprecated in favour of this one
        other_names=("vertexai", "vertex"),
        price_list="google",
        known_as="google_genai",
        arguments={"vertexai": True, "google_api_key": None},  # a Gemini key is not valid for Vertex AI
        from_environment={"project": "GOOGLE_CLOUD_PROJECT", "location": "GOOGLE_CLOUD_LOCATION"},
        own_login=("*",),
        no_retries={"max_retries": 1},  # counts the first attempt
    ),
    Provider(
        BEDROCK,
        "AWS Bedrock",
        "langchain-aws",
        other_names=("bedrock", "aws"),
        price_list="aws",
        options={"base_url": "endpoint_url"},
        timeout=ceil,
        own_login=("*",),
    ),
    Provider(
        "groq",
        "Groq",
        key_variables=("GROQ_API_KEY",),
        url_variables=("GROQ_API_BASE", "GROQ_BASE_URL"),
        default_model="llama-3.3-70b-versatile",
        price_list="groq",
        openai_url="https://api.groq.com",
        openai_path="/openai/v1",
    ),
    Provider(
        "cohere",
        "Cohere",
        "langchain-cohere",
        ("COHERE_API_KEY", "CO_API_KEY"),
        ("CO_API_URL",),
        host="api.cohere.com",
        default_model="command-a-03-2025",
        price_list="cohere",
        options={"api_key": "cohere_api_key", "timeout": "timeout_seconds"},
        no_retries={},
    ),
    Provider(
        "nvidia",
        "NVIDIA",
        key_variables=("NVIDIA_API_KEY",),
        url_variables=("NVIDIA_BASE_URL",),
        default_model="meta/llama-3.3-70b-instruct",
        openai_url="https://integrate.api.nvidia.com/v1",
    ),
    Provider(
        "fireworks",
        "Fireworks",
        key_variables=("FIREWORKS_API_KEY",),
        url_variables=("FIREWORKS_API_BASE", "FIREWORKS_BASE_URL"),
        default_model="accounts/fireworks/models/gpt-oss-120b",
        price_list="fireworks",
        openai_url="https://api.fireworks.ai/inference",
        openai_path="/v1",
    ),
    Provider(
        "mistralai",
        "Mistral",
        "langchain-mistralai",
        ("MISTRAL_API_KEY",),
        ("MISTRAL_BASE_URL",),
        other_names=("mistral",),
        host="api.mistral.ai",
        default_model="mistral-medium-latest",
        price_list="mistral",
        timeout=ceil,
    ),
    Provider(
        "together",
        "Together",
        key_variables=("TOGETHER_API_KEY",),
        url_variables=("TOGETHER_API_BASE",),
        default_model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
        price_list="together",
        openai_url="https://api.together.xyz/v1",
    ),
    Provider(
        IBM,
        "IBM watsonx",
        "langchain-ibm",
        ("WATSONX_API_KEY", "WATSONX_APIKEY"),
        ("WATSONX_URL",),
        other_names=("watsonx",),
        options={"base_url": "url", "timeout": ""},
        no_retries={},
        environment={"WATSONX_MAX_RETRIES": "0"},
        needs=("WATSONX_URL", "WATSONX_PROJECT_ID"),
    ),
    Provider(
        DATABRICKS,
        "Databricks",
        key_variables=("DATABRICKS_TOKEN",),
        url_variables=("DATABRICKS_HOST",),
        price_list="databricks",
        needs=("DATABRICKS_HOST",),
        openai_path="/serving-endpoints",
    ),
    Provider(
        "xai",
        "xAI",
        key_variables=("XAI_API_KEY",),
        url_variables=("XAI_API_BASE",),
        other_names=("grok",),
        default_model="grok-4",
        price_list="x-ai",
        openai_url="https://api.x.ai/v1",
    ),
    Provider(
        "perplexity",
        "Perplexity",
        "langchain-perplexity",
        ("PPLX_API_KEY", "PERPLEXITY_API_KEY"),
        ("PERPLEXITY_BASE_URL",),
        host="api.perplexity.ai",
        default_model="sonar",
        price_list="perplexity",
        options={"base_url": ""},
    ),
    Provider(
        "deepseek",
        "DeepSeek",
        key_variables=("DEEPSEEK_API_KEY",),
        url_variables=("DEEPSEEK_API_BASE",),
        default_model="deepseek-chat",
        price_list="deepseek",
        openai_url="https://api.deepseek.com/v1",
    ),
    Provider(
        OLLAMA,
        "Ollama",
        "langchain-ollama",
        host="localhost:11434",
        speaks_openai=True,
        own_login=("OLLAMA_API_KEY",),
        options={"max_tokens": "num_predict", "timeout": "client_kwargs"},
        window_option="num_ctx",
        timeout=lambda seconds: {"timeout": seconds},
        no_retries={},
    ),
    Provider(
        "openrouter",
        "OpenRouter",
        key_variables=("OPENROUTER_API_KEY",),
        url_variables=("OPENROUTER_API_BASE",),
        default_model="openrouter/auto",
        price_list="openrouter",
        openai_url="https://openrouter.ai/api/v1",
    ),
    Provider(
        LMSTUDIO,
        "LM Studio",
        key_variables=("LM_API_TOKEN",),
        url_variables=("LMSTUDIO_BASE_URL",),
        other_names=("lm-studio",),
        host="localhost:1234",
        key_optional=True,
    ),
    Provider(LANGFLOW, "Langflow", key_variables=("LANGFLOW_API_KEY",), host="localhost:7860", key_optional=True),
    Provider(LOCAL, "the local model"),
)

PROVIDERS: Mapping[str, Provider] = {provider.prefix: provider for provider in _PROVIDERS}

OTHER_NAMES: Mapping[str, str] = {name: provider.prefix for provider in _PROVIDERS for name in provider.other_names}

KEY_VARIABLES: Mapping[str, str] = {name: provider.prefix for provider in _PROVIDERS for name in provider.key_variables}
"""The prefix of the provider, by the name of every variable that may hold a key."""
